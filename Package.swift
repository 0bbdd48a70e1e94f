// swift-tools-version: 6.2
import PackageDescription

// The floors of docs/architecture: a target imports only from floors below it.
let package = Package(
    name: "fedtrain",
    products: [
        .executable(name: "fedtrain", targets: ["fedtrain"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Floor 0: module maps of system libraries, no logic.
        .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CGMP", providers: [.apt(["libgmp-dev"])]),
        .systemLibrary(name: "COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CMalloc"),
        // The only C code of our own: loops that one source gives for several instruction sets.
        .target(name: "CVector"),

        // Floor 1: one Swift face per library, and the numeric kernels.
        .target(name: "Sodium", dependencies: ["CSodium"]),
        .target(name: "GMP", dependencies: ["CGMP"]),
        .target(name: "Kernels", dependencies: ["COpenBLAS", "CVector"]),

        // Floor 2: the three pillars, which do not know one another.
        .target(
            name: "SecureAgg",
            dependencies: [
                "Sodium", "GMP", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Wire/secagg.proto"]),
        .target(name: "DP", dependencies: ["Sodium", "GMP"]),
        .target(name: "Models", dependencies: ["Kernels"]),

        // Floor 3: the only place where the pillars meet.
        .target(
            name: "FedTrain", dependencies: ["SecureAgg", "DP", "Models"],
            resources: [.copy("Resources/built-in-base")]),

        // Floor 5: the command line.
        .executableTarget(
            name: "fedtrain",
            dependencies: [
                "FedTrain", "CMalloc",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ]),

        .testTarget(name: "SodiumTests", dependencies: ["Sodium"]),
        .testTarget(name: "GMPTests", dependencies: ["GMP"]),
        .testTarget(name: "KernelsTests", dependencies: ["Kernels", "CVector"]),
        .testTarget(name: "SecureAggTests", dependencies: ["SecureAgg", "Sodium", "GMP"]),
        .testTarget(name: "DPTests", dependencies: ["DP", "Sodium", "GMP"]),
        .testTarget(name: "ModelsTests", dependencies: ["Models", "Kernels"]),
        .testTarget(
            name: "FedTrainTests",
            dependencies: ["FedTrain", "SecureAgg", "DP", "Models", "Sodium", "GMP"]),
        // The command line as a person uses it: the built executable, its output and exit codes.
        .testTarget(name: "CommandTests", dependencies: ["fedtrain"]),
    ],
    swiftLanguageModes: [.v6]
)

// Continuous integration builds without a single warning; elsewhere a newer compiler may find new ones.
if Context.environment["CI"] != nil {
    for target in package.targets where target.type != .system {
        target.swiftSettings = (target.swiftSettings ?? []) + [.treatAllWarnings(as: .error)]
    }
}
