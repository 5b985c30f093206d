import MartletPlatform

/// The parser that the environment names.
private func chosenParser() -> Parser {
    let scratch = fileExists("/dev/shm") ? "/dev/shm" : "/tmp"
    let parsers = Parser.all(scratch: scratch)
    let name = unsafe getenv("PARSER").map { unsafe String(cString: $0) } ?? ""
    guard let parser = parsers.first(where: { $0.name == name }) else {
        print("PARSER names one of: " + parsers.map(\.name).joined(separator: ", "))
        exit(2)
    }
    return parser
}

#if FUZZER
    nonisolated(unsafe) private let parser = chosenParser()

    /// What libFuzzer, which has a main of its own, calls with each input.
    @_cdecl("LLVMFuzzerTestOneInput")
    public func readOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
        try? unsafe parser.read(bytes)
        return 0
    }
#else
    /// Reads the files that are named: what libFuzzer found, once more.
    @main enum Driver {
        static func main() {
            let parser = chosenParser()
            for path in CommandLine.arguments.dropFirst() {
                do { try parser.read(fileBytes(path)) } catch { print("\(path): \(error)") }
            }
        }
    }
#endif
