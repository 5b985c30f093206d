// swift-tools-version: 6.2
import PackageDescription

// Module names carry the prefix `Martlet` so that the package can stand beside others; folders do not.
func modules(_ folders: [String]) -> [Target.Dependency] { folders.map { .target(name: "Martlet\($0)") } }

// The module of a folder in Sources, on modules of others, and on what has no such prefix.
func library(_ folder: String, on folders: [String] = [], and others: [Target.Dependency] = []) -> Target {
    .target(
        name: "Martlet\(folder)", dependencies: modules(folders + ["Platform"]) + others, path: "Sources/\(folder)")
}

// The tests of a module, on the modules that they name besides.
func tests(_ folder: String, on folders: [String] = [], and others: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(folder)Tests",
        dependencies: modules([folder] + folders + ["Platform"]) + others + ["TestSupport"],
        path: "Tests/\(folder)Tests")
}

// A product of another package that only the trait `Server` needs.
func server(_ product: String, _ package: String) -> Target.Dependency {
    .product(name: product, package: package, condition: .when(traits: ["Server"]))
}

let package = Package(
    name: "martlet",
    products: [
        .library(name: "Martlet", targets: ["Martlet"]),
        .library(name: "MartletTokenizers", targets: ["MartletTokenizers"]),
        .library(name: "MartletTemplates", targets: ["MartletTemplates"]),
        .library(name: "MartletPlanning", targets: ["MartletPlanning"]),
        .library(name: "MartletTraining", targets: ["MartletTraining"]),
        .executable(name: "martlet", targets: ["martlet-cli"]),
    ],
    traits: [
        .trait(name: "Server", description: "HTTP: martlet serve. Without it neither Hummingbird nor NIO is fetched."),
        .default(enabledTraits: ["Server"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "CMartletKernels", path: "Sources/CKernels"),
        .target(name: "MartletPlatform", path: "Sources/Platform"),
        library("JSON"),
        library("Tensors", and: ["CMartletKernels"]),
        library("Formats", on: ["Tensors", "JSON"]),
        library("Templates", on: ["JSON"]),
        library("Tokenizers", on: ["JSON"]),
        library("Layers", on: ["Tensors"]),
        library("Distributed"),
        .target(name: "CMartletModelsData", path: "Sources/CModelsData", exclude: ["configuration_keys.json"]),
        library("Models", on: ["Distributed", "Layers", "Tensors", "Formats", "JSON"], and: ["CMartletModelsData"]),
        .target(
            name: "CMartletPlanningData", path: "Sources/CPlanningData", exclude: ["hardware.json", "presets.json"]),
        library("Planning", on: ["Models", "Layers", "Tensors", "Formats", "JSON"], and: ["CMartletPlanningData"]),
        library("Quantization", on: ["Planning", "Models", "Layers", "Tensors", "Formats", "JSON"]),
        library("Generation", on: ["Models", "Layers", "Tensors", "Formats", "JSON"]),
        library("Constraints", on: ["Generation", "Tokenizers", "JSON"]),
        library("Serving", on: ["Generation", "Models", "Layers", "Tensors"]),
        library(
            "Measuring", on: ["Serving", "Generation", "Planning", "Models", "Layers", "Tensors", "Formats", "JSON"]),
        library("Tasks", on: ["Generation", "Tokenizers", "Models", "Layers", "Tensors", "Formats", "JSON"]),
        library("Hub", on: ["Formats", "JSON"]),
        .target(name: "CShippedModel", path: "Sources/CShippedModel", exclude: ["english.gguf", "sentences.gguf"]),
        .target(
            name: "Martlet",
            dependencies: modules([
                "Platform", "Templates", "Tensors", "Formats", "Tokenizers", "Layers", "Models", "Generation",
                "Planning", "Quantization", "Tasks", "JSON", "Constraints", "Serving", "Hub",
            ]) + ["CShippedModel"]),
        library(
            "Training",
            on: [
                "Tasks", "Quantization", "Distributed", "Planning", "Models", "Layers", "Tensors", "Tokenizers",
                "Templates", "Formats", "JSON",
            ],
            and: ["CMartletKernels", "Martlet", .product(name: "Yams", package: "Yams")]),
        .target(name: "CMartletPage", path: "Sources/CPage", exclude: ["page.html", "page.css", "page.js"]),
        library(
            "API",
            on: [
                "Serving", "Constraints", "Tasks", "Planning", "Templates", "Generation", "Tokenizers", "Models",
                "Layers", "Tensors", "Formats", "JSON",
            ],
            and: ["CMartletPage", "CMartletPlanningData", "Martlet"]),
        library(
            "ServingHTTP", on: ["API", "JSON"],
            and: [
                server("Hummingbird", "hummingbird"), server("HummingbirdCore", "hummingbird"),
                server("NIOCore", "swift-nio"), server("NIOPosix", "swift-nio"), server("NIOHTTP1", "swift-nio"),
                server("NIOHTTPTypes", "swift-nio-extras"), server("NIOHTTPTypesHTTP1", "swift-nio-extras"),
                server("HTTPTypes", "swift-http-types"), server("Logging", "swift-log"),
                server("ServiceLifecycle", "swift-service-lifecycle"),
            ]),
        .executableTarget(
            name: "martlet-cli",
            dependencies: modules([
                "Platform", "Templates", "Tensors", "Formats", "Tokenizers", "Layers", "Models", "Distributed",
                "Generation", "Planning", "Measuring", "Quantization", "Serving", "Tasks", "Training", "Hub", "JSON",
                "API", "ServingHTTP",
            ]) + [
                "Martlet", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                server("UnixSignals", "swift-service-lifecycle"),
            ]),

        .executableTarget(
            name: "martlet-fuzz",
            dependencies: modules([
                "API", "Constraints", "Formats", "Generation", "JSON", "Layers", "Models", "Platform", "Tasks",
                "Templates", "Tensors", "Tokenizers", "Training",
            ]) + ["Martlet", "TestSupport"],
            path: "Tests/Fuzz"),
        .target(
            name: "TestSupport", dependencies: modules(["Generation", "Layers", "Models", "Platform", "Tensors"]),
            path: "Tests/TestSupport"),
        .target(name: "CAllocationCounter", path: "Tests/AllocationCounter"),
        tests("JSON"),
        tests("Tensors", and: ["CMartletKernels"]),
        tests("Formats", on: ["Tensors", "JSON"]),
        tests("Templates", on: ["JSON"]),
        tests("Distributed"),
        tests("Hub", on: ["Formats", "JSON"]),
        tests("Tokenizers", on: ["Templates", "JSON", "Formats"]),
        tests("Models", on: ["Distributed", "Layers", "Tensors", "Formats", "Generation", "JSON"]),
        tests("Quantization", on: ["Planning", "Models", "Layers", "Tensors", "Formats", "JSON"]),
        tests("Planning", on: ["Quantization", "Measuring", "Models", "Layers", "Tensors", "Formats", "JSON"]),
        tests("Generation", on: ["Models", "Layers", "Tensors", "Formats", "JSON"], and: ["CAllocationCounter"]),
        tests("Constraints", on: ["Generation", "JSON"]),
        tests("Serving", on: ["Generation", "Models", "Layers", "Tensors"]),
        tests("Tasks", on: ["Models", "Tensors", "Tokenizers", "Formats", "JSON", "Layers", "Generation"]),
        tests(
            "Training",
            on: [
                "Distributed", "Planning", "Models", "Layers", "Tensors", "Tokenizers", "Templates", "Formats", "JSON",
            ],
            and: ["CMartletKernels"]),
        tests("API", on: ["Tokenizers", "Templates", "JSON"], and: ["Martlet"]),
        tests(
            "ServingHTTP",
            on: ["API", "Generation", "Models", "Layers", "Tensors", "Tokenizers", "Formats", "JSON"],
            and: ["Martlet"]),
        .testTarget(
            name: "MartletTests",
            dependencies: modules([
                "Platform", "Constraints", "Formats", "Generation", "JSON", "Layers", "Models", "Tensors", "Tokenizers",
            ]) + ["Martlet", "TestSupport"]),
        .testTarget(
            name: "CommandTests",
            dependencies: modules(["Formats", "JSON", "Platform", "Tensors"]) + [
                "martlet-cli", "martlet-fuzz", "TestSupport",
            ],
            path: "Tests/CommandTests"),
    ]
)

for target in package.targets where !["CMartletKernels", "CAllocationCounter"].contains(target.name) {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InferIsolatedConformances"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableUpcomingFeature("ImmutableWeakCaptures"),
        .strictMemorySafety(),
    ]
}
