import MartletGeneration
package import MartletLayers
import MartletModels
import MartletTensors

/// The checks of requests before anything is computed.
extension Engine {
    /// The offences of a request, everything that is wrong with it, each with its remedy.
    package func offences(of request: EngineRequest) -> [String] {
        let vocabulary = architecture.vocabulary
        var offences =
            request.sampling.offences(vocabulary: vocabulary) + request.rules.offences(vocabulary: vocabulary)
        let count = request.tokens.count
        offences += self.offences(prompt: request.tokens, vocabulary: vocabulary)
        if !isDecoder { offences.append("this model does not continue texts: it is not a decoder") }
        if request.maximumTokens < 0 { offences.append("\(request.maximumTokens) tokens cannot be generated") }
        offences += self.offences(adapter: request.adapter)
        if let scored = request.scored, scored < 0 { offences.append("\(scored) tokens cannot be scored") }
        if let context = architecture.context, count > context {
            offences.append("the prompt has \(count) tokens, but the model's context is \(context); shorten the prompt")
        } else if count > longest {
            offences.append(
                "the prompt has \(count) tokens, but keys and values have memory for \(longest); shorten the prompt, "
                    + "or allow the cache more memory")
        }
        for (table, blocks) in zip(layout.tables, capacity) where table.window != nil && offences.isEmpty {
            let needed = BlockLedger.Group(capacity: blocks, window: table.window)
                .blocks(length: min(longest, count + max(0, request.maximumTokens)), rows: Scheduler.quantum)
            if needed + 1 > blocks {
                offences.append(
                    "\(needed + 1) blocks of 64 positions are needed, but the cache has memory for \(blocks)")
            }
        }
        return offences
    }

    private func offences(prompt: [Int32], vocabulary: Int) -> [String] {
        if prompt.isEmpty { return ["the prompt has no tokens; give at least one"] }
        return prompt.first { $0 < 0 || $0 >= vocabulary }
            .map { ["token \($0) is not in the vocabulary of \(vocabulary)"] } ?? []
    }

    func offences(adapter: Int?) -> [String] {
        guard let adapter, !(0..<adapters.count).contains(adapter) else { return [] }
        return ["there is no adapter \(adapter); the model has \(adapters.count)"]
    }

    func offences(read tokens: [Int32], vocabulary: Int, _ context: Int?) -> [String] {
        var offences: [String] = []
        if tokens.isEmpty { offences.append("a text has no tokens; give at least one") }
        if let wrong = tokens.first(where: { $0 < 0 || $0 >= vocabulary }) {
            offences.append("token \(wrong) is not in the vocabulary of \(vocabulary)")
        }
        if let context, tokens.count > context {
            offences.append("a text has \(tokens.count) tokens, but the model's context is \(context); shorten it")
        }
        return offences
    }

    func offences(of request: SearchRequest) -> [String] {
        guard architecture.writes, isDecoder || layout.source != nil else {
            return ["this model does not write: it has no decoder"]
        }
        let vocabulary = architecture.embedding.targetVocabulary ?? architecture.vocabulary
        var offences = request.options.offences(vocabulary: vocabulary)
        for prompt in Set(request.texts.map(\.prompt)) {
            offences += self.offences(prompt: prompt, vocabulary: vocabulary)
            guard let context = architecture.context, prompt.count >= context else { continue }
            offences.append("the prompt has \(prompt.count) tokens, but the model's context is \(context)")
        }
        for text in request.texts {
            if isDecoder {
                if !text.source.isEmpty { offences.append("this model does not write about sources") }
            } else {
                offences += self.offences(
                    read: text.source, vocabulary: architecture.vocabulary,
                    architecture.sourceContext ?? architecture.context)
            }
            let needed = RunningSearch.blocks(request.options, text, layout, architecture)
            if let most = capacity.min(), offences.isEmpty, needed > most {
                offences.append(
                    "\(needed) blocks of 64 positions are needed, but the cache has memory for \(most); ask for fewer "
                        + "beams or tokens, or allow the cache more memory")
            }
        }
        return offences
    }
}

extension Architecture {
    /// The offences that keep a model from guessing what `model` writes.
    package func offences(drafting model: Architecture) -> [String] {
        vocabulary == model.vocabulary
            ? []
            : [
                "the draft model has a vocabulary of \(vocabulary) tokens, the model one of \(model.vocabulary); "
                    + "give a draft model with the same vocabulary"
            ]
    }
}
