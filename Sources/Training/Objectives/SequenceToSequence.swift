package import MartletTensors

/// The decoder reads the right answer up to here and predicts how it goes on (teacher forcing, Sutskever et al. 2014).
package struct SequenceToSequence: Objective {
    package static let name = "sequence-to-sequence"

    /// The start token, which the decoder reads first.
    package let start: Int32
    /// The maximum number of rows of either side; longer pairs are left out, as a cut translation teaches to stop
    /// early.
    package let longest: Int

    package init(start: Int32, longest: Int) { (self.start, self.longest) = (start, longest) }

    package var sides: Int { 2 }
    package var takesWholeDocuments: Bool { true }
    // One more, so that a side that is too long is seen to be.
    package var overlap: Int { 1 }

    package func example(_ sides: [[Int32]], _ random: inout Random) -> Example? {
        guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty, sides.allSatisfy({ $0.count <= longest }) else {
            return nil
        }
        return Example(tokens: sides[0], decoderTokens: [start] + sides[1].dropLast(), targets: sides[1])
    }
}
