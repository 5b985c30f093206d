/// A request as it came over the wire: method, path, header fields, body.
package struct APIRequest: Sendable {
    package var method: String
    package var path: String
    /// The header fields, names in lower case; of several fields of one name the last.
    package var headers: [String: String]
    package var body: [UInt8]
    /// The cancellation, which ends the work for this request when the client has gone.
    package let cancellation: Cancellation

    package init(
        method: String, path: String, headers: [String: String] = [:], body: [UInt8] = [],
        cancellation: Cancellation = Cancellation()
    ) {
        (self.method, self.path, self.headers, self.body) = (method, RequestPath.plain(path), headers, body)
        self.cancellation = cancellation
    }
}
