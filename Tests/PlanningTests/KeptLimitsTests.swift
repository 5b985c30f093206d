import MartletMeasuring
import MartletTensors
import Testing

/// The limits of the machine that plans are made with, where others ran while they were measured.
@Suite struct KeptLimitsTests {
    private func kept(_ bandwidth: Double, _ f32: Double, load: Double?, threads: Int = 2) -> KeptLimits {
        let limits = MachineLimits(threads: threads, bandwidth: bandwidth, f32: f32, bf16: 3, int8: 4)
        return KeptLimits(limits: limits, date: "2026-12-01", load: load)
    }

    @Test func aBusyMachineLowersNothing() {
        let raised = kept(9, 400, load: 4).raised(by: kept(27, 340, load: nil))
        #expect(raised.limits == kept(27, 400, load: nil).limits && raised.load == nil)
        #expect(kept(9, 400, load: 4).raised(by: kept(8, 500, load: 2)).load == 2)
        // Measured on a calm machine, it is what the machine gives now.
        #expect(kept(9, 100, load: nil).raised(by: kept(27, 340, load: nil)).limits.bandwidth == 9)
        // Of other threads, or alone, it stands as it is.
        #expect(kept(9, 100, load: 4).raised(by: kept(27, 340, load: nil, threads: 1)).limits.bandwidth == 9)
        #expect(kept(9, 100, load: 4).raised(by: nil).load == 4)
    }
}
