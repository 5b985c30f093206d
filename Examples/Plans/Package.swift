// swift-tools-version: 6.2
import PackageDescription

// A package of a user of the library: one product, one file.
let package = Package(
    name: "plans",
    // Without traits no package of the server is fetched.
    dependencies: [.package(name: "martlet", path: "../..", traits: [])],
    targets: [
        .executableTarget(
            name: "plans", dependencies: [.product(name: "MartletPlanning", package: "martlet")], path: "Sources",
            swiftSettings: [.enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("ExistentialAny")])
    ]
)
