import CMartletKernels

// The phases of layers, which describe themselves from the first to the last.

extension StepPlan {
    /// Queries, keys and values of norm(x), then attention: one layer's memory.
    package func attend(
        _ parts: StepAttention, query: StepMatrix, key: StepMatrix, value: StepMatrix, norm: StepNorm?
    ) {
        let made = multiply([(query, .query), (key, .key), (value, .value)], norm: norm)
        attend(parts, query: made[0], own: (made[1], made[2]))
    }

    /// Attention by queries, with keys and values that are kept, or those of an earlier layer alone.
    package func attend(_ parts: StepAttention, query: StepRows, own: (key: StepRows, value: StepRows)?) {
        let heads = parts.keyHeads * parts.group
        precondition(
            query.width == heads * parts.headWidth && (parts.slopes?.count ?? heads) == heads
                && own.map { $0.key.width == parts.keyHeads * parts.headWidth } ?? true
                && own.map { $0.value.width == parts.keyHeads * parts.valueWidth } ?? true,
            "StepPlan: \(heads) heads of \(parts.headWidth) from \(query.width) columns")
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ATTENTION
        unsafe phase.attention = attention(parts)
        unsafe phase.attention.queries = UnsafePointer(query.floats)
        unsafe phase.attention.reads_only = own == nil
        if let own {
            unsafe (phase.attention.keys, phase.attention.values) = (
                UnsafePointer(own.key.floats), UnsafePointer(own.value.floats)
            )
        }
        unsafe phases.append(phase)
    }

    private func attention(_ parts: StepAttention) -> martlet_step_attention {
        let heads = parts.keyHeads * parts.group
        var attention = unsafe martlet_step_attention()
        unsafe attention.outputs = buffer(.attended, heads * parts.valueWidth)
        unsafe (attention.key_heads, attention.group) = (parts.keyHeads, parts.group)
        unsafe (attention.head_width, attention.value_width) = (parts.headWidth, parts.valueWidth)
        unsafe attention.query_norm = kernel(parts.queryNorm)
        unsafe attention.key_norm = kernel(parts.keyNorm)
        held += [parts.headWeights.query, parts.headWeights.key].compactMap { $0?.storage }
        unsafe (attention.query_weights, attention.key_weights) = (
            parts.headWeights.query?.floats, parts.headWeights.key?.floats
        )
        if let (index, neighbours) = parts.rotation {
            unsafe attention.rotary_width = rotations[index].pairs * 2
            unsafe attention.neighbours = neighbours
            unsafe (attention.cosines, attention.sines) = (
                UnsafePointer(rotation(index, row: 0).cosines), UnsafePointer(rotation(index, row: 0).sines)
            )
        }
        unsafe (attention.scale, attention.cap) = (parts.scale, parts.cap ?? 0)
        if let slopes = parts.slopes {
            let copy = Tensor(slopes, shape: [slopes.count])
            held.append(copy.storage)
            unsafe attention.slopes = copy.floats
        }
        if let sinks = parts.sinks {
            held.append(sinks.storage)
            unsafe attention.sinks = sinks.floats
        }
        if let bias = parts.bias {
            if !biases.contains(where: { $0 === bias }) { biases.append(bias) }
            unsafe attention.bias = bias.kernel
        }
        unsafe attention.block_type = blockType.kernelType
        unsafe (attention.table, attention.block_offset) = parts.cache
        tables.addLayer(partialFloats: heads * (parts.valueWidth + 2))
        return unsafe attention
    }

    /// Queries of norm(x), then attention to the encoder's output.
    package func attendAcross(_ parts: StepCrossAttention, norm: StepNorm?) {
        let heads = parts.keyHeads * parts.group
        precondition(
            parts.query.matrix.outputs == heads * parts.headWidth,
            "StepPlan: \(heads) heads of \(parts.headWidth) from \(parts.query.matrix.outputs) columns")
        var product = unsafe begin(MARTLET_STEP_PRODUCT, [parts.query], norm: norm)
        unsafe product.matrices.0 = kernel(parts.query, into: buffer(.query, parts.query.matrix.outputs))
        unsafe phases.append(product)
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ATTENTION
        unsafe (phase.attention.across, phase.attention.block_type) = (true, MARTLET_F32)
        unsafe phase.attention.queries = UnsafePointer(product.matrices.0.y)
        unsafe phase.attention.outputs = buffer(.attended, heads * parts.headWidth)
        unsafe (phase.attention.key_heads, phase.attention.group) = (parts.keyHeads, parts.group)
        unsafe (phase.attention.head_width, phase.attention.value_width) = (parts.headWidth, parts.headWidth)
        unsafe phase.attention.scale = parts.scale
        unsafe phase.attention.cap = parts.cap ?? 0
        unsafe (phase.attention.table, phase.attention.block_offset) = parts.cache
        unsafe phases.append(phase)
    }

    /// Adds the phase of x + output(attended), or x + join(output(attended)).
    package func addAttended(_ output: StepMatrix, join: StepNorm?) {
        guard let last = unsafe phases.last(where: { unsafe $0.kind == MARTLET_STEP_ATTENTION }) else {
            preconditionFailure("StepPlan: nothing has been attended to")
        }
        let phase = unsafe begin(MARTLET_STEP_PRODUCT, [output], norm: nil, attended: last.attention)
        unsafe add(phase, output, join: join)
    }

    /// The residual stream as a projection of narrower rows, which are set for each pass in its place; and where they
    /// begin.
    package func projectInput(_ projection: StepMatrix) {
        let inputs = projection.matrix.inputs
        unsafe narrow = (buffer(.narrow, inputs), inputs)
        var phase = unsafe martlet_step_phase()
        unsafe (phase.kind, phase.matrix_count, phase.inputs) = (MARTLET_STEP_PRODUCT, 1, inputs)
        unsafe phase.x = UnsafePointer(buffer(.narrow, inputs))
        unsafe phase.matrices.0 = kernel(projection, into: vector(ofRow: 0))
        unsafe phases.append(phase)
    }

    /// Adds the phase of x + the rows of positions, which are set for each pass.
    package func addPositions() {
        unsafe placed = buffer(.placed, width)
        var phase = unsafe martlet_step_phase()
        unsafe (phase.kind, phase.inputs) = (MARTLET_STEP_JOIN, width)
        unsafe (phase.x, phase.y) = (UnsafePointer(buffer(.placed, width)), vector(ofRow: 0))
        unsafe phases.append(phase)
    }

    /// The place where a token's vector is written before a run: the stream itself, or the input of the projection to
    /// it.
    package func input(ofRow row: Int) -> UnsafeMutablePointer<Float> {
        guard let (rows, width) = unsafe narrow else { return unsafe vector(ofRow: row) }
        return unsafe rows + row * width
    }

    /// The place where a position's vector is written before a run, if it is added after a projection; else nil.
    package func positions(ofRow row: Int) -> UnsafeMutablePointer<Float>? {
        unsafe placed.map { unsafe $0 + row * width }
    }

    /// Adds the phase of norm(x) in place of x: where norms follow sums.
    package func normStream(_ norm: StepNorm) {
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ROWS
        unsafe (phase.inputs, phase.norm) = (width, kernel(norm))
        unsafe (phase.x, phase.y) = (UnsafePointer(vector(ofRow: 0)), vector(ofRow: 0))
        unsafe phases.append(phase)
    }

    /// Adds the phase of f(gate(norm(x))) · up(norm(x)), or f(up(norm(x))) without a gate; prepared for `down`, which
    /// `addActivated` multiplies by.
    package func activate(gate: StepMatrix?, up: StepMatrix, _ f: Activation, norm: StepNorm?, for down: StepMatrix) {
        let hidden = up.matrix.outputs
        precondition((gate ?? up).matrix.outputs == hidden, "StepPlan: a gate of another width than \(hidden)")
        var phase = unsafe begin(MARTLET_STEP_ACTIVATED, [gate ?? up, up], norm: norm)
        unsafe phase.activation = f.kernel
        unsafe phase.matrices.0 = kernel(gate ?? up, into: buffer(.activated, hidden))
        unsafe phase.matrices.1 = kernel(up, into: nil)
        unsafe phase.matrix_count = gate == nil ? 1 : 2
        if down.matrix.type.isBlockQuantized {
            let bytes = martlet_activation_bytes(down.matrix.type.kernelType, hidden)
            unsafe phase.next_type = down.matrix.type.kernelType
            unsafe phase.next_prepared = UnsafeMutableRawPointer(buffer(.prepared, (bytes + 3) / 4))
        }
        unsafe phases.append(phase)
    }

    /// Adds the phase of x + down(activated), or x + join(down(activated)).
    package func addActivated(_ down: StepMatrix, join: StepNorm?) {
        guard let last = unsafe phases.last(where: { unsafe $0.kind == MARTLET_STEP_ACTIVATED }) else {
            preconditionFailure("StepPlan: nothing has been activated")
        }
        var phase = unsafe martlet_step_phase()
        unsafe phase.x = UnsafePointer(last.matrices.0.y)
        unsafe phase.prepared = UnsafeRawPointer(last.next_prepared)
        unsafe add(phase, down, join: join)
    }

    /// Adds the phases of head(norm(x)), or head(narrowing(norm(x))): the last phases.
    package func addLogits(_ head: StepMatrix, narrowing: StepMatrix? = nil, norm: StepNorm?) {
        var phase: martlet_step_phase
        if let narrowing {
            var narrower = unsafe begin(MARTLET_STEP_PRODUCT, [narrowing], norm: norm)
            if unsafe narrower.prepared != nil { unsafe phases[phases.count - 1].wanted = true }
            let rows = unsafe buffer(.narrowed, narrowing.matrix.outputs)
            unsafe (narrower.wanted, narrower.matrices.0) = (true, kernel(narrowing, into: rows))
            unsafe phases.append(narrower)
            unsafe phase = begin(MARTLET_STEP_PRODUCT, [head], norm: nil, from: UnsafePointer(rows))
        } else {
            unsafe phase = begin(MARTLET_STEP_PRODUCT, [head], norm: norm)
        }
        let vocabulary = head.matrix.outputs
        let storage = Storage(bytes: capacity * vocabulary * 4)
        held.append(storage)
        logits = (1...capacity).map {
            Tensor(storage: storage, byteOffset: 0, shape: [$0, vocabulary], type: .f32, device: device)
        }
        // The rows that are prepared before it are those that it computes.
        if unsafe phase.prepared != nil { unsafe phases[phases.count - 1].wanted = true }
        unsafe phase.wanted = true
        unsafe phase.matrices.0 = kernel(head, into: storage.mutablePointer.assumingMemoryBound(to: Float.self))
        unsafe phases.append(phase)
        runner = StepRunner(self)
    }
}
