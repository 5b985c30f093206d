import CMartletKernels

/// Runs the phases of a plan on all threads of its device, in one region: threads meet after each phase and never park
/// in between.
@safe final class StepRunner: ChunkedWork {
    private let board: PhaseBoard
    private let scratch: [Storage]
    /// The number of chunks to take at once, for each phase.
    private let grains: [Int]
    /// The phases that the threads of the run in progress read.
    private var phases: UnsafePointer<martlet_step_phase>?
    private var count = 0
    private var pass: martlet_step_pass

    /// A plan all of whose phases are known.
    init(_ plan: StepPlan) {
        let device = plan.device
        board = unsafe PhaseBoard(phases: plan.phases.count, members: device.threads)
        var pass = unsafe martlet_step_pass(rows: plan.capacity, wanted: plan.capacity, tables: nil)
        var bytes = 0
        var grains: [Int] = []
        for index in unsafe plan.phases.indices {
            bytes = max(bytes, unsafe martlet_step_scratch(&plan.phases[index], &pass))
            grains.append(StepRunner.grain(chunkBytes: unsafe martlet_step_chunk_bytes(&plan.phases[index])))
        }
        self.grains = grains
        unsafe self.pass = pass
        scratch = (0..<device.threads).map { _ in Storage(bytes: bytes) }
    }

    /// About a microsecond's reading: less would be lost in taking, more in waiting for the last one.
    private static func grain(chunkBytes: Int) -> Int { chunkBytes == 0 ? 1 : max(1, 16_384 / chunkBytes) }

    func run(_ plan: StepPlan, rows: Int, wanted: Int) {
        unsafe pass = martlet_step_pass(rows: rows, wanted: wanted, tables: plan.tables.finished(rows: rows))
        unsafe plan.phases.withUnsafeBufferPointer { phases in
            guard let first = phases.baseAddress else { return }
            unsafe self.phases = first
            count = phases.count
            for index in 0..<count { board.open(index, chunks: unsafe martlet_step_chunks(first + index, &pass)) }
            plan.device.pool.run(chunks: board.members, self)
        }
    }

    /// Runs one thread's way through all phases.
    func run(chunk member: Int) {
        guard let phases = unsafe phases else { return }
        var own = unsafe pass
        unsafe withUnsafePointer(to: &own) { unsafe work(phases, $0, member: member) }
    }

    private func work(
        _ phases: UnsafePointer<martlet_step_phase>, _ pass: UnsafePointer<martlet_step_pass>, member: Int
    ) {
        let scratch = unsafe scratch[member].mutablePointer.assumingMemoryBound(to: UInt8.self)
        for index in 0..<count {
            let phase = unsafe phases + index
            let chunks = unsafe martlet_step_chunks(phase, pass)
            var done = 0
            while let range = board.claim(index, member: member, grain: grains[index]) {
                // Only the holder of a chunk may read what the phase reads: the others may have gone on.
                if done == 0 { unsafe martlet_step_prologue(phase, pass, scratch) }
                unsafe martlet_step_run(phase, pass, range.lowerBound, range.upperBound, scratch)
                done += range.count
            }
            if done > 0 { board.finish(index, done, of: chunks) }
            guard index + 1 < count else { return unsafe wait(index, chunks, next: nil, from: 0) }
            let next = unsafe phases + index + 1
            let from = board.share(of: member, chunks: unsafe martlet_step_chunks(next, pass)).lowerBound
            unsafe wait(index, chunks, next: next, from: from)
        }
    }

    /// About 50 µs: longer than any chunk takes that its thread can compute undisturbed.
    private static let turns = 1_000

    /// Waits until all chunks of a phase are done; meanwhile the weights that come next are asked for.
    private func wait(_ phase: Int, _ chunks: Int, next: UnsafePointer<martlet_step_phase>?, from: Int) {
        for turn in 0..<StepRunner.turns {
            if board.isDone(phase, chunks: chunks) { return }
            if turn < 128, let next = unsafe next {
                unsafe martlet_step_foresee(next, from, turn)
            } else {
                martlet_spin_hint()
            }
        }
        board.park(until: phase, chunks: chunks)
    }
}

extension StepPlan {
    /// Row `row` of the next run is at `position` of the sequence whose blocks' addresses stand at `blocks`.
    package func setBlocks(_ table: Int, row: Int, _ blocks: UnsafePointer<UnsafeRawPointer?>?, position: Int) {
        precondition(table < tables.count && row < capacity, "StepPlan: table \(table), row \(row)")
        unsafe tables.set(table, row: row, blocks: blocks, position: position)
    }

    /// Runs all phases for the first `rows` rows, whose vectors, rotations and blocks have been set; logits of the
    /// first `wanted`.
    package func run(rows: Int, wanted: Int) {
        guard let runner else { preconditionFailure("StepPlan: no logits have been asked for") }
        precondition(
            rows >= 1 && rows <= capacity && wanted <= rows, "StepPlan: \(rows) of \(capacity) rows, \(wanted) wanted")
        runner.run(self, rows: rows, wanted: wanted)
    }

    /// Makes room in the biases for rows up to `position`.
    package func reserveBiases(position: Int) {
        for bias in biases { bias.reserve(position + 1) }
    }
}
