// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who builds Martlet builds this. The links under Sources lead to the main
// package's targets.
let package = Package(
    name: "tokenizer-bench",
    targets: [
        .target(name: "MartletJSON"),
        .target(name: "MartletTokenizers", dependencies: ["MartletJSON"]),
        .executableTarget(name: "tokenizer-server", dependencies: ["MartletJSON", "MartletTokenizers"]),
    ]
)

for target in package.targets {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InferIsolatedConformances"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableUpcomingFeature("ImmutableWeakCaptures"),
    ]
}
