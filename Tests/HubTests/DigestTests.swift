import MartletHub
import Testing

/// Digests of FIPS 180's own examples, and of every length around a block.
@Suite struct DigestTests {
    @Test(arguments: [
        (
            "", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        ),
        (
            "abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]) func examples(text: String, first: String, second: String) {
        for (kind, wanted) in [(Digest.Kind.sha1, first), (.sha256, second)] {
            var digest = Digest(kind)
            digest.append(Array(text.utf8))
            #expect(digest.finish() == wanted)
        }
    }

    @Test func aMillionTimesA() {
        for (kind, wanted) in [
            (Digest.Kind.sha1, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
            (.sha256, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            var digest = Digest(kind)
            // Pieces that begin and end anywhere in a block.
            var left = 1_000_000
            while left > 0 {
                let count = min(left, 1 + left % 97)
                digest.append([UInt8](repeating: 97, count: count))
                left -= count
            }
            #expect(digest.finish() == wanted)
        }
    }
}
