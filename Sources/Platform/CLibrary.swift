// MartletPlatform: the C library, files, clock and threads of the system. Knows no tensor, no model and no text.

#if canImport(Glibc)
    @_exported public import Glibc
#elseif canImport(Musl)
    @_exported public import Musl
#endif

/// The C library's `rename`, under a name that no method hides: 0, or −1 with `errno`.
func renameFile(_ path: String, _ other: String) -> Int32 { unsafe rename(path, other) }

/// The C library's `write`, under a name that no method hides: bytes written, or −1 with `errno`.
package func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    unsafe write(descriptor, bytes, count)
}
