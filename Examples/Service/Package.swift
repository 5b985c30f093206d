// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "service",
    dependencies: [
        // Without traits the package brings no HTTP server of its own: this one is ours.
        .package(name: "martlet", path: "../..", traits: []),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "service",
            dependencies: [
                .product(name: "Martlet", package: "martlet"),
                .product(name: "Hummingbird", package: "hummingbird"),
            ])
    ]
)
