import MartletHub
import MartletJSON
import MartletPlatform
import Synchronization

/// A hub on this machine, which answers as it is told: also with falsehoods, in pieces, or not at all.
final class LoopbackHub: Sendable {
    struct Request: Sendable {
        let path: String
        let headers: [String: String]
        /// The first byte that is asked for.
        var offset: Int {
            guard let range = headers["range"], range.hasPrefix("bytes="), range.hasSuffix("-") else { return 0 }
            return Int(range.dropFirst(6).dropLast()) ?? 0
        }
    }

    struct Answer: Sendable {
        var status = 200
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        /// The connection ends behind so many bytes of the body.
        var drop: Int?
        /// Milliseconds before the body.
        var pause: UInt32 = 0
    }

    typealias Handler = @Sendable (Request) -> Answer

    let port: UInt16
    private let socket: Int32
    private let handler: Handler
    private let seen = Mutex<[Request]>([])

    /// The requests so far.
    var requests: [Request] { seen.withLock { $0 } }
    var address: String { "http://127.0.0.1:\(port)" }

    init(_ handler: @escaping Handler) {
        let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = unsafe bind(listener, address, size)
                _ = listen(listener, 64)
                _ = unsafe getsockname(listener, address, &size)
            }
        }
        (socket, port, self.handler) = (listener, UInt16(bigEndian: address.sin_port), handler)
        start { [weak self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0, let hub = self else { return }
                start { hub.serve(connection) }
            }
        }
    }

    /// Ends the hub; what it is asked for afterwards is refused.
    func stop() {
        shutdown(socket, Int32(SHUT_RDWR))
        close(socket)
    }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        var bytes: [UInt8] = []
        while !bytes.suffix(4).elementsEqual([13, 10, 13, 10]) {
            var byte: UInt8 = 0
            guard unsafe read(connection, &byte, 1) == 1 else { return }
            bytes.append(byte)
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n").map(String.init)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
            if parts.count == 2 { headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }) }
        }
        let words = lines.first?.split(separator: " ").map(String.init) ?? []
        let request = Request(path: words.count > 1 ? words[1] : "", headers: headers)
        seen.withLock { $0.append(request) }
        let answer = handler(request)
        var head = "HTTP/1.1 \(answer.status) Said\r\nContent-Length: \(answer.body.count)\r\nConnection: close\r\n"
        for (name, value) in answer.headers { head += "\(name): \(value)\r\n" }
        send(Array((head + "\r\n").utf8), to: connection)
        if answer.pause > 0 { usleep(answer.pause * 1_000) }
        send(Array(answer.body.prefix(answer.drop ?? .max)), to: connection)
    }

    private func send(_ bytes: [UInt8], to connection: Int32) {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes[done...].withUnsafeBytes {
                unsafe Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            done += count
        }
    }
}

/// Runs `work` on a thread of its own.
private func start(_ work: @escaping @Sendable () -> Void) {
    final class Box {
        let work: @Sendable () -> Void; init(_ work: @escaping @Sendable () -> Void) { self.work = work }
    }
    var thread = pthread_t()
    let box = unsafe Unmanaged.passRetained(Box(work)).toOpaque()
    unsafe pthread_create(
        &thread, nil,
        { argument in
            if let argument = unsafe argument { unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().work() }
            return nil
        }, box)
    pthread_detach(thread)
}

/// A model as a hub has it.
struct PublishedModel: Sendable {
    static let commit = "0123456789abcdef0123456789abcdef01234567"
    var files: [String: [UInt8]]
    /// Files that the hub keeps by their SHA-256.
    var large: Set<String> = []

    /// Bytes that follow from `seed` alone.
    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var state = seed | 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    static func digest(_ bytes: [UInt8], isLarge: Bool) -> String {
        var digest = Digest(isLarge ? .sha256 : .sha1)
        if !isLarge { digest.append(Array("blob \(bytes.count)\0".utf8)) }
        digest.append(bytes)
        return digest.finish()
    }

    func digest(of path: String) -> String {
        PublishedModel.digest(files[path] ?? [], isLarge: large.contains(path))
    }

    var listing: [UInt8] {
        let siblings = files.keys.sorted().map { path -> JSON in
            let bytes = files[path] ?? []
            var entry = JSONObject()
            entry["rfilename"] = .string(path)
            entry["size"] = .integer(bytes.count)
            entry["blobId"] = .string(PublishedModel.digest(bytes, isLarge: false))
            if large.contains(path) {
                entry["lfs"] = ["sha256": .string(digest(of: path)), "size": .integer(bytes.count)]
            }
            return .object(entry)
        }
        let listing: JSON = ["sha": .string(PublishedModel.commit), "siblings": .array(siblings)]
        return Array(listing.text().utf8)
    }

    /// An honest answer.
    func answer(_ request: LoopbackHub.Request) -> LoopbackHub.Answer {
        if request.path.hasPrefix("/api/models/") { return .init(body: listing) }
        let marker = "/resolve/\(PublishedModel.commit)/"
        guard let path = request.path.range(ofFirst: marker).map({ String(request.path.dropFirst($0)) }),
            let bytes = files[path]
        else { return .init(status: 404) }
        let offset = request.offset
        guard offset > 0 else { return .init(body: bytes) }
        guard offset < bytes.count else { return .init(status: 416) }
        return .init(
            status: 206, headers: ["Content-Range": "bytes \(offset)-\(bytes.count - 1)/\(bytes.count)"],
            body: Array(bytes[offset...]))
    }
}

extension String {
    /// The number of characters up to the end of the first `part`; nil without one.
    fileprivate func range(ofFirst part: String) -> Int? {
        let (bytes, wanted) = (Array(utf8), Array(part.utf8))
        guard bytes.count >= wanted.count else { return nil }
        return (0...bytes.count - wanted.count).first { bytes[$0...].starts(with: wanted) }.map { $0 + wanted.count }
    }
}
