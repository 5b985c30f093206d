import MartletTraining
import Testing

@Suite("Schedules")
struct ScheduleTests {
    @Test("Warm-up rises in equal steps and ends at the peak")
    func warmUp() {
        let schedule = Schedule(.constant, warmUp: 4, steps: 10)
        #expect((0..<6).map { schedule.share(at: $0) } == [0.25, 0.5, 0.75, 1, 1, 1])
    }

    @Test("Half a cosine: top, middle, bottom, and flat beyond")
    func cosine() {
        let schedule = Schedule(.cosine(final: 0.1), warmUp: 2, steps: 12)
        #expect(schedule.share(at: 2) == 1)
        #expect(abs(schedule.share(at: 7) - 0.55) < 1e-6)
        #expect(abs(schedule.share(at: 12) - 0.1) < 1e-6)
        #expect(schedule.share(at: 40) == schedule.share(at: 12))
    }

    @Test("Straight lines end where they should")
    func lines() {
        #expect(Schedule(.linear(final: 0), steps: 4).share(at: 1) == 0.75)
        let stable = Schedule(.stableThenDecay(decay: 4, final: 0), warmUp: 2, steps: 10)
        #expect(stable.share(at: 5) == 1)
        #expect(stable.share(at: 8) == 0.5)
    }

    @Test("The inverse square root meets the peak after warm-up")
    func inverseSquareRoot() {
        let schedule = Schedule(.inverseSquareRoot, warmUp: 4, steps: 100)
        #expect(schedule.share(at: 3) == 1)
        #expect(schedule.share(at: 15) == 0.5)
    }
}
