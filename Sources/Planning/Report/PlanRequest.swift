/// The request for a plan: what is asked beside the model.
public struct PlanRequest: Sendable {
    /// The tokens of one sequence; nil: the model's context, at most 4,096.
    public var context: Int?
    /// The sequences that are computed at once.
    public var sequences = 1
    /// The tokens of one source sequence of an encoder-decoder; nil: as many as `context`.
    public var sourceTokens: Int?
    /// The types in which the weights are kept.
    public var weights: WeightStorage = .uniform(.bf16)
    /// The form of the key-value cache.
    public var cache = CacheLayout()
    /// The hardware for which times are estimated; nil estimates none.
    public var hardware: Hardware?
    /// True where the hardware is this machine, on which this engine runs the model.
    public var isHere = false
    /// The number of threads that the hardware computes with; nil: the physical cores.
    public var threads: Int?
    /// The memory budget in bytes; nil: the hardware's memory.
    public var budget: Count?
    /// The speculative decoding whose gain is shown: its acceptance and number of guesses.
    package var speculation: Speculation?
    /// The training run to be planned; nil plans none.
    public var training: Training?

    /// A request for one sequence of the model's context in bf16.
    public init() {}

    /// A training run to be planned.
    public struct Training: Sendable {
        /// The tokens of the whole run.
        public var tokens: Double
        /// The number of devices.
        public var devices: Int
        /// The sequences of one step.
        public var globalBatch: Int
        package var recipe = TrainingFootprint.Recipe()
        /// True where the fastest layouts are simulated, pipeline stage by pipeline stage.
        public var simulates = false
        /// The price in USD per device hour; nil: the hardware's, where it is known.
        public var price: Double?
        /// The carbon intensity in kg CO2e per kWh; nil: from the lowest to the highest published one.
        public var carbonIntensity: Double?

        /// A run over `tokens` tokens.
        public init(tokens: Double, devices: Int, globalBatch: Int) {
            (self.tokens, self.devices, self.globalBatch) = (tokens, devices, globalBatch)
        }
    }
}
