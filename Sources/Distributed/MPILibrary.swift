import MartletPlatform

/// The site's MPI library, found at run time, and the ten of its functions that are called.
///
/// Open MPI, MPICH and its relatives, and the standard ABI of MPI 5 differ in their handles only: addresses of symbols,
/// integers, and small integers in pointers. All fit a word; a handle of 32 bits is its low half, as the calling
/// conventions of x86-64 and arm64 pass it.
@safe struct MPILibrary: @unchecked Sendable {
    enum ABI: String, Sendable { case openMPI = "Open MPI", mpich = "MPICH", standard = "MPI 5" }

    typealias Handle = UInt
    typealias Start = @convention(c) (UnsafeRawPointer?, UnsafeRawPointer?, Int32, UnsafeMutablePointer<Int32>) -> Int32
    typealias Query = @convention(c) (Handle, UnsafeMutablePointer<Int32>) -> Int32
    typealias Send =
        @convention(c) (
            UnsafeRawPointer?, Int32, Handle, Int32, Int32, Handle, UnsafeMutableRawPointer
        ) -> Int32
    typealias Receive =
        @convention(c) (
            UnsafeMutableRawPointer?, Int32, Handle, Int32, Int32, Handle, UnsafeMutableRawPointer
        ) -> Int32
    typealias Test = @convention(c) (Int32, UnsafeMutableRawPointer, UnsafeMutablePointer<Int32>, UInt) -> Int32
    typealias Abort = @convention(c) (Handle, Int32) -> Int32
    typealias Version = @convention(c) (UnsafeMutablePointer<CChar>, UnsafeMutablePointer<Int32>) -> Int32

    let abi: ABI
    let path: String
    let world, byte: Handle
    /// The value of MPI_STATUSES_IGNORE.
    let noStatuses: UInt
    let start: Start
    let finalize: @convention(c) () -> Int32
    let rank, size: Query
    let send: Send
    let receive: Receive
    let test: Test
    let abort: Abort
    private let version: Version

    /// The size in bytes of a request in an array of them.
    var requestBytes: Int { abi == .mpich ? 4 : 8 }

    /// Loads the library that the launcher belongs to.
    ///
    /// - Parameter path: a library of one's own choice, from `MARTLET_MPI`.
    /// - Throws: ``CommunicationError`` with the libraries that were tried and the remedy.
    init(path own: String?) throws(CommunicationError) {
        let candidates = own.map { [$0] } ?? MPILibrary.candidates
        var failures: [String] = []
        for path in candidates {
            guard let library = unsafe dlopen(path, RTLD_NOW | RTLD_GLOBAL) else {
                failures.append(unsafe dlerror().map { unsafe String(cString: $0) } ?? path)
                continue
            }
            self = try unsafe MPILibrary(library, path)
            return
        }
        throw CommunicationError(
            "no MPI library could be loaded (\(failures.joined(separator: "; "))); install one, as by apt-get install openmpi-bin, or name it in MARTLET_MPI"
        )
    }

    /// The libraries that are here, opened apart from each other, as their functions have the same names.
    static func found(_ own: String?) -> [MPILibrary] {
        var handles: Set<UInt> = []
        return (own.map { [$0] } ?? candidates).compactMap { path in
            guard let handle = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL),
                handles.insert(UInt(bitPattern: handle)).inserted
            else {
                return nil
            }
            return try? unsafe MPILibrary(handle, path)
        }
    }

    private init(_ library: UnsafeMutableRawPointer, _ path: String) throws(CommunicationError) {
        func symbol(_ name: String) throws(CommunicationError) -> UnsafeMutableRawPointer {
            guard let symbol = unsafe dlsym(library, name) else {
                throw CommunicationError(
                    "\(path): the library has no \(name), so it is no MPI library of a known kind")
            }
            return unsafe symbol
        }
        func function<Function>(_ name: String, as type: Function.Type) throws(CommunicationError) -> Function {
            try unsafe unsafeBitCast(symbol(name), to: type)
        }
        self.path = path
        if let world = unsafe dlsym(library, "ompi_mpi_comm_world") {
            abi = .openMPI
            self.world = UInt(bitPattern: world)
            byte = try unsafe UInt(bitPattern: symbol("ompi_mpi_byte"))
            noStatuses = 0
        } else if path.utf8.split(separator: 47).last.map({ String(Substring($0)) })?.hasPrefix("libmpi_abi") == true {
            (abi, world, byte, noStatuses) = (.standard, 0x101, 0x247, 0)
        } else {
            (abi, world, byte, noStatuses) = (.mpich, 0x4400_0000, 0x4c00_010d, 1)
        }
        unsafe start = try unsafe function("MPI_Init_thread", as: Start.self)
        finalize = try function("MPI_Finalize", as: (@convention(c) () -> Int32).self)
        unsafe rank = try unsafe function("MPI_Comm_rank", as: Query.self)
        unsafe size = try unsafe function("MPI_Comm_size", as: Query.self)
        unsafe send = try unsafe function("MPI_Isend", as: Send.self)
        unsafe receive = try unsafe function("MPI_Irecv", as: Receive.self)
        unsafe test = try unsafe function("MPI_Testall", as: Test.self)
        abort = try function("MPI_Abort", as: Abort.self)
        unsafe version = try unsafe function("MPI_Get_library_version", as: Version.self)
    }

    /// The library's own words about itself, their first line.
    var description: String {
        var text = [CChar](repeating: 0, count: 8192)
        var length: Int32 = 0
        _ = unsafe version(&text, &length)
        let bytes = text.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
        return "\(String(decoding: bytes, as: UTF8.self)) (\(path))"
    }

    /// The libraries to try: those of the launcher first, known by the variables that it sets.
    private static var candidates: [String] {
        let open = ["libmpi.so.40", "libmpi.so.80"]
        let others = ["libmpi_abi.so.0", "libmpi_abi.so", "libmpich.so.12", "libmpi.so.12"]
        return hasVariable("OMPI_COMM_WORLD_SIZE") ? open + others : others + open
    }

    private static func hasVariable(_ name: String) -> Bool { unsafe getenv(name) != nil }

    /// True where a launcher (mpirun, srun) has started this process as one of several ranks.
    static var isLaunched: Bool {
        let single = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "PMI_RANK"]
        return single.contains(where: hasVariable)
    }
}
