import MartletPlatform

/// Lines that a person types: edited and remembered by libedit where the system has it, plain otherwise.
///
/// The library is loaded when it is first wanted, so that nothing is linked that a server does not need.
@safe final class LineEditor {
    private typealias Read = @convention(c) (UnsafePointer<CChar>) -> UnsafeMutablePointer<CChar>?
    private typealias Add = @convention(c) (UnsafePointer<CChar>) -> Int32

    private let read: Read?
    private let add: Add?

    init() {
        guard isatty(0) == 1, let library = unsafe dlopen("libedit.so.2", RTLD_NOW),
            let read = unsafe dlsym(library, "readline"), let add = unsafe dlsym(library, "add_history")
        else {
            unsafe (read, add) = (nil, nil)
            return
        }
        unsafe self.read = unsafeBitCast(read, to: Read.self)
        unsafe self.add = unsafeBitCast(add, to: Add.self)
    }

    /// The next line without its end; nil at the end of the input.
    func line(_ prompt: String) -> String? {
        guard let read = unsafe read else {
            Output.prompt(prompt)
            return readLine()
        }
        guard let line = unsafe read(prompt) else { return nil }
        defer { unsafe free(line) }
        return unsafe String(cString: line)
    }

    /// Keeps a line for the arrow keys.
    func remember(_ line: String) {
        if !line.isEmpty { _ = unsafe add?(line) }
    }
}
