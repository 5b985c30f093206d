import MartletTraining
import Testing

@Suite struct PermutationTests {
    @Test(arguments: [0, 1, 2, 3, 7, 64, 100, 1_000, 4_097])
    func everyPlaceOnce(count: Int) {
        let order = Permutation(count: count, seed: 7)
        #expect((0..<count).map { order[$0] }.sorted() == Array(0..<count))
    }

    @Test func seedsDiffer() {
        let (a, b) = (Permutation(count: 1_000, seed: 1), Permutation(count: 1_000, seed: 2))
        #expect((0..<1_000).filter { a[$0] == b[$0] }.count < 20)
        #expect((0..<1_000).filter { a[$0] == $0 }.count < 20)
    }
}
