// swift-tools-version: 6.2
import PackageDescription

// The collectives are a target of the main package, not a product of it; the links under Sources let this package build
// the same files.
let package = Package(
    name: "collective-bench",
    targets: [
        .target(name: "MartletPlatform"),
        .target(name: "MartletDistributed", dependencies: ["MartletPlatform"]),
        .executableTarget(name: "collective-bench", dependencies: ["MartletDistributed", "MartletPlatform"]),
    ]
)
for target in package.targets {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"), .strictMemorySafety(),
    ]
}
