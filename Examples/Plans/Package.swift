// swift-tools-version: 6.2
import PackageDescription

// A package of a user of the library: one product, one file.
let package = Package(
    name: "plans",
    dependencies: [.package(name: "martlet", path: "../..")],
    targets: [
        .executableTarget(
            name: "plans", dependencies: [.product(name: "MartletPlanning", package: "martlet")], path: "Sources",
            swiftSettings: [.enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("ExistentialAny")])
    ]
)
