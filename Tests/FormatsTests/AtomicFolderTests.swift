import MartletFormats
import MartletPlatform
import TestSupport
import Testing

/// Folders that appear whole or not at all.
@Suite struct AtomicFolderTests {
    private func write(_ text: String, to path: String) throws { try writeFile(Array(text.utf8), to: path) }

    /// A new folder appears at the end; one that is there keeps what is not written over.
    @Test func appearsAtTheEnd() throws {
        let place = Fixtures.temporaryFile("folder")
        defer { Folder.remove(place) }
        let rounds: [(String, [String])] = [("one", []), ("two", ["kept"])]
        for (text, others) in rounds {
            let folder = try AtomicFolder(place + "/")
            #expect(fileExists(place) == !others.isEmpty)
            try write(text, to: folder.aside + "/a")
            try Folder.make(folder.aside + "/part")
            try write(text, to: folder.aside + "/part/b")
            try folder.commit()
            #expect(Folder.names(in: place) == ["a"] + others + ["part"])
            #expect(Fixtures.bytes(place + "/a") == Array(text.utf8))
            #expect(Fixtures.bytes(place + "/part/b") == Array(text.utf8))
            try write("", to: place + "/kept")
        }
    }

    @Test func leavesNothingWhenItIsDropped() throws {
        struct Failure: Error {}
        let place = Fixtures.temporaryFile("folder")
        defer { Folder.remove(place) }
        func fail(_ fails: Bool) throws {
            let folder = try AtomicFolder(place)
            try write("a", to: folder.aside + "/a")
            if fails { throw Failure() }
            try folder.commit()
        }
        for names in [[], ["kept"]] {
            #expect(throws: Failure.self) { try fail(true) }
            #expect(Folder.names(in: place) == names)
            try Folder.make(place)
            try write("", to: place + "/kept")
        }
        #expect(throws: FileError.self) { _ = try AtomicFolder(place + "/kept") }
    }
}
