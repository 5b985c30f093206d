import MartletFormats
import MartletGeneration
import MartletJSON
import MartletModels
import MartletPlatform

extension Writer {
    /// The languages from which and into which a model of several translates, in the words of its vocabulary: de_DE,
    /// deu, German.
    public struct Languages: Sendable, Hashable {
        /// The language that is read; nil where the model reads one only, or finds out by itself.
        public var source: String?
        /// The language that is written; nil where the model writes one only.
        public var target: String?

        /// A pair of languages.
        public init(source: String? = nil, target: String? = nil) { (self.source, self.target) = (source, target) }
    }
}

extension WriterSettings {
    /// Takes what stands around a text and what is written first from the languages, as each kind of model has it.
    ///
    /// - Throws: ``TaskError`` for languages that the model does not tell apart, with those that it does.
    mutating func choose(
        _ languages: Writer.Languages, _ file: ModelFile, _ vocabulary: any WriterVocabulary
    ) throws {
        guard languages.source != nil || languages.target != nil else { return }
        switch file.modelType {
        case "mbart": try chooseAsMBART(languages, file, vocabulary)
        case "m2m_100": try chooseAsM2M(languages, file, vocabulary)
        case "marian": try chooseAsMarian(languages, file, vocabulary)
        case "t5", "mt5": try chooseByPrefix(languages, file)
        default: throw TaskError("\(file.path): \(file.modelType) does not tell languages apart; leave them out")
        }
    }

    /// mBART: the text, its end, its language; written from the other language on. mBART-50: language, text, end; the
    /// other language is the first to be written. Sources: arXiv:2001.08210, arXiv:2008.00401.
    private mutating func chooseAsMBART(
        _ languages: Writer.Languages, _ file: ModelFile, _ vocabulary: any WriterVocabulary
    ) throws {
        func token(_ name: String) throws -> Int32 {
            // A language alone stands for the one that its tokens begin with: de for de_DE.
            let region = MBARTLanguages.tokens.first { $0.utf8.starts(with: (name + "_").utf8) }
            guard let id = vocabulary.id(ofToken: name) ?? region.flatMap({ vocabulary.id(ofToken: $0) }) else {
                throw TaskError(
                    "\(file.path): the vocabulary has no language \(name); mBART's are \(MBARTLanguages.tokens)")
            }
            return id
        }
        let path = file.path + "/tokenizer_config.json"
        let own = fileExists(path) ? try JSON(contentsOf: path)["tokenizer_class"]?.stringValue : nil
        let tokenizer = try own ?? file.config()["tokenizer_class"]?.stringValue
        let isFifty = tokenizer?.utf8.starts(with: "MBart50".utf8) ?? false
        if let source = languages.source {
            guard let end = vocabulary.id(ofToken: "</s>") else {
                throw TaskError("\(file.path): the vocabulary has no </s>")
            }
            let language = try token(source)
            frame = isFifty ? ([language], [end]) : ([], [end, language])
        }
        guard let target = languages.target else { return }
        if isFifty { search.rules.forcedFirst = try token(target) } else { startToken = try token(target) }
    }

    /// M2M-100 and NLLB: language, text, end; the other language is the first to be written. They are spelled `__de__`
    /// (de) and `deu_Latn`. Sources: arXiv:2010.11125, arXiv:2207.04672.
    private mutating func chooseAsM2M(
        _ languages: Writer.Languages, _ file: ModelFile, _ vocabulary: any WriterVocabulary
    ) throws {
        func token(_ name: String) throws -> Int32 {
            guard let id = vocabulary.id(ofToken: "__\(name)__") ?? vocabulary.id(ofToken: name) else {
                throw TaskError(
                    "\(file.path): the vocabulary has no language \(name); M2M-100 knows them as de, NLLB as deu_Latn")
            }
            return id
        }
        if let source = languages.source {
            guard let end = vocabulary.id(ofToken: "</s>") else {
                throw TaskError("\(file.path): the vocabulary has no </s>")
            }
            frame = ([try token(source)], [end])
        }
        if let target = languages.target { search.rules.forcedFirst = try token(target) }
    }

    /// Marian's models of several targets read `>>fra<<` before the text.
    private mutating func chooseAsMarian(
        _ languages: Writer.Languages, _ file: ModelFile, _ vocabulary: any WriterVocabulary
    ) throws {
        if let source = languages.source {
            throw TaskError(
                "\(file.path): a Marian model finds out by itself that it reads \(source); give the target only")
        }
        guard let target = languages.target else { return }
        guard vocabulary.id(ofToken: ">>\(target)<<") != nil else {
            throw TaskError("\(file.path): the vocabulary has no >>\(target)<<: this model writes another language")
        }
        prefix = ">>\(target)<< " + prefix
    }

    /// T5 reads what to do in plain words, which its configuration lists: translation_en_to_de.
    private mutating func chooseByPrefix(_ languages: Writer.Languages, _ file: ModelFile) throws {
        let tasks = try file.config()["task_specific_params"]?.objectValue
        let wanted = "translation_\(languages.source ?? "en")_to_\(languages.target ?? "")"
        guard let prefix = tasks?[wanted]?["prefix"]?.stringValue else {
            let known = (tasks?.keys ?? []).filter { $0.utf8.starts(with: "translation_".utf8) }
            throw TaskError(
                "\(file.path): the configuration has no \(wanted), only \(known); say it in words with --prefix")
        }
        self.prefix = prefix
    }
}

/// The languages of mBART and mBART-50, as their vocabularies spell them.
private enum MBARTLanguages {
    static let tokens = [
        "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN", "it_IT", "ja_XX",
        "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN",
        "zh_CN", "af_ZA", "az_AZ", "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN",
        "mn_MN", "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN", "th_TH", "tl_XX", "uk_UA",
        "ur_PK", "xh_ZA", "gl_ES", "sl_SI",
    ]
}
