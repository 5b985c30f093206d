import Foundation
import MartletPlatform
import Synchronization

// Mutates files of every format, loads them, and uses what loaded, thousands of times a second in one process. A
// process of its own does the work, so that a trap, a hang or too much memory ends that alone; the number of the
// mutation is then printed, and the next begun.
//
//     martlet-fuzz FIXTURES [--seconds S] [--seed N] [--only TARGET]    a campaign
//     martlet-fuzz FIXTURES --worker FROM TO SCRATCH [--only TARGET]    some mutations, by number
//     martlet-fuzz FIXTURES --corpus FOLDER                             a folder of seeds for each parser

let arguments = Array(CommandLine.arguments.dropFirst())
func option(_ name: String) -> String? {
    arguments.firstIndex(of: name).flatMap { $0 + 1 < arguments.count ? arguments[$0 + 1] : nil }
}
guard let fixtures = arguments.first else {
    print("usage: martlet-fuzz FIXTURES [--seconds S] [--seed N] [--only TARGET]")
    exit(2)
}

if let place = arguments.firstIndex(of: "--worker"), place + 3 < arguments.count {
    let (from, to) = (Int(arguments[place + 1]) ?? 0, Int(arguments[place + 2]) ?? 0)
    try FuzzWorker.run(fixtures, from..<to, scratch: arguments[place + 3], only: option("--only"))
} else if let folder = option("--corpus") {
    try Seeds.write(to: folder, fixtures)
} else {
    let campaign = FuzzCampaign(
        fixtures: fixtures, seconds: Double(option("--seconds") ?? "30") ?? 30,
        first: Int(option("--seed") ?? "0") ?? 0,
        only: option("--only"))
    exit(try campaign.run() ? 0 : 1)
}
