// swift-tools-version: 6.2
import PackageDescription

// The kernels are a target of the main package, not a product of it; the link under Sources lets this package build the
// same files.
let package = Package(
    name: "kernel-bench",
    targets: [
        .target(name: "CMartletKernels"),
        .executableTarget(name: "kernel-bench", dependencies: ["CMartletKernels"], linkerSettings: [.linkedLibrary("m")]),
    ]
)
