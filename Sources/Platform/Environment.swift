/// The variables of this process's environment.
package enum Environment {
    /// The value of a variable; nil where it is not set, or is empty, which is how files of settings for containers
    /// write the same.
    package static subscript(name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(cString: value)
    }
}
