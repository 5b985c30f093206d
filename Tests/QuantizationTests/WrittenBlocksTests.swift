import MartletFormats
import MartletTensors
import TestSupport
import Testing

/// ggml's types below four bits, byte for byte as its published algorithms make them (restated number by number in
/// Tools/fixtures/low_blocks.py), also of nothing, of numbers that are alike, and of very small ones.
@Suite struct WrittenBlocksTests {
    @Test(arguments: WrittenBlocks.allCases) func bytesOfTheReference(kind: WrittenBlocks) throws {
        let fixture = try Safetensors(contentsOf: Fixtures.folder + "/quantization/low_blocks.safetensors").tensors
        let values = try fixture.tensor("values")
        let wanted = try #require(fixture[kind == .q2_K ? "Q2_K" : kind == .q3_K ? "Q3_K" : kind.rawValue.uppercased()])
        for threads in [1, 3] {
            let encoded = kind.encoded(values, on: Device(threads: threads))
            #expect(encoded.bytes == wanted.bytes)
            let ours = unsafe Array(UnsafeRawBufferPointer(start: encoded.pointer, count: encoded.bytes))
            let bytes = unsafe Array(
                UnsafeRawBufferPointer(start: wanted.storage.pointer + wanted.byteOffset, count: wanted.bytes))
            #expect(ours == bytes)
        }
    }
}
