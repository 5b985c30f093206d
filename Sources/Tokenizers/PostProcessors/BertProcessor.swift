/// BERT's post-processor, `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]` (`BertProcessing`), or RoBERTa's
/// `<s> A </s> </s> B </s>` with all types 0 (`RobertaProcessing`).
struct BertProcessor: PostProcessor {
    /// The settings of RoBERTa's processor.
    struct Roberta: Sendable {
        let trimsOffsets: Bool
        let addsPrefixSpace: Bool
    }

    let separator: (content: String, id: Int32)
    let classifier: (content: String, id: Int32)
    let roberta: Roberta?

    func addedTokens(isPair: Bool) -> Int { isPair ? (roberta == nil ? 3 : 4) : 2 }

    func process(_ encodings: [Encoding], addingSpecialTokens: Bool, _ context: PostProcessorContext) -> [Encoding] {
        encodings.enumerated().map { index, encoding in
            let typeID = roberta == nil ? Int32(index) : 0
            var encoding = encoding
            if let roberta, roberta.trimsOffsets {
                encoding = OffsetTrimmer.trim(encoding, addsPrefixSpace: roberta.addsPrefixSpace, context)
            }
            guard addingSpecialTokens else {
                if roberta != nil { encoding.setTypeID(0) } else { encoding.setTypeID(typeID) }
                return encoding
            }
            var overflow = encoding.overflow
            encoding = frame(encoding, index, typeID)
            for part in overflow.indices { overflow[part] = frame(overflow[part], index, typeID) }
            encoding.overflow = overflow
            return encoding
        }
    }

    private func frame(_ encoding: Encoding, _ index: Int, _ typeID: Int32) -> Encoding {
        var framed = Encoding()
        if index == 0 {
            framed.appendSpecial(classifier.id, typeID: typeID)
        } else if roberta != nil {
            framed.appendSpecial(separator.id, typeID: typeID)
        }
        var body = encoding
        body.setTypeID(typeID)
        // What a processor before this one added counts as text from here on, as in the reference.
        body.isSpecial = [Bool](repeating: false, count: body.count)
        framed.append(body)
        framed.appendSpecial(separator.id, typeID: typeID)
        return framed
    }
}
