// swift-tools-version: 6.2
import PackageDescription

let strictSwift: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [
    .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]
let strictCXX: [CXXSetting] = [
    .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let x509 = Target.Dependency.product(name: "X509", package: "swift-certificates")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let deques = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let metrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")

let package = Package(
    name: "solidus",
    products: [
        // The client library: one module to import, which brings those whose types its interface names.
        .library(name: "Solidus", targets: ["Solidus"]),
        .executable(name: "solidus", targets: ["solidus"]),
        .executable(name: "solidus-bench", targets: ["solidus-bench"]),
        .executable(name: "solidus-work", targets: ["solidus-work"]),
        .executable(name: "solidus-sim", targets: ["solidus-sim"]),
        .executable(name: "solidus-faulty-server", targets: ["solidus-faulty-server"]),
        .executable(name: "solidus-torture", targets: ["solidus-torture"]),
    ],
    traits: [
        .trait(
            name: "PlantedFlaws",
            description:
                "Compiles deliberate protocol bugs in, each behind a switch: for the simulator's proof that it sees.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", exact: "1.7.3"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    ],
    targets: [
        // System libraries.
        .systemLibrary(name: "CISAL", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CLibCrypto", providers: [.apt(["libssl-dev"])]),

        // The C core and the coding rooms above it.
        .target(
            name: "CFragmentCore", dependencies: ["CISAL", "CLibCrypto"],
            cSettings: strictC + [.headerSearchPath(".")],
            linkerSettings: [.linkedLibrary("crypto"), .linkedLibrary("isal")]),
        .target(name: "ErasureCode", dependencies: ["CISAL", "CFragmentCore"], swiftSettings: strictSwift),
        .target(name: "Fingerprint", dependencies: ["CFragmentCore", "ErasureCode"], swiftSettings: strictSwift),

        // The protocol: pure, without I/O.
        .target(
            name: "CKnownKey", dependencies: ["CLibCrypto"], cSettings: strictC,
            linkerSettings: [.linkedLibrary("crypto")]),
        .target(
            name: "QuorumProtocol", dependencies: ["CKnownKey", "ErasureCode", "Fingerprint", crypto, deques],
            swiftSettings: strictSwift),
        .target(name: "QuorumWire", dependencies: ["QuorumProtocol", nioCore], swiftSettings: strictSwift),

        // Liars, and the judge of what clients saw among them.
        .target(
            name: "QuorumFaults", dependencies: ["ErasureCode", "Fingerprint", "QuorumProtocol"],
            path: "Sources/Testing/QuorumFaults",
            swiftSettings: strictSwift),
        .target(
            name: "HistoryChecker", dependencies: [], path: "Sources/Testing/HistoryChecker",
            swiftSettings: strictSwift),

        // Clients that harm others, for benchmarks and torture.
        .target(
            name: "HostileClients",
            dependencies: [
                "ClusterFiles", "ErasureCode", "Fingerprint", "QuorumFaults", "QuorumProtocol", "QuorumTransport",
                "QuorumWire", nioCore, nioPosix, nioSSL, nioTLS,
            ],
            path: "Sources/Testing/HostileClients",
            swiftSettings: strictSwift),

        // What the command lines of several programs have in common.
        .target(
            name: "CommandArguments", dependencies: ["QuorumProtocol", arguments], swiftSettings: strictSwift),

        // The simulator: the protocol's machines in a deterministic world of liars.
        .target(
            name: "QuorumSimulator",
            dependencies: [
                "ErasureCode", "Fingerprint", "HistoryChecker", "ObjectStorage", "ProtocolStorage", "QuorumFaults",
                "QuorumProtocol", "StorageSimulator", deques,
            ],
            path: "Sources/Testing/QuorumSimulator",
            swiftSettings: strictSwift),
        .target(
            name: "SmallDisks", dependencies: [], path: "Sources/Testing/SmallDisks", swiftSettings: strictSwift),
        .target(
            name: "StorageSimulator", dependencies: ["ErasureCode", "ObjectStorage"],
            path: "Sources/Testing/StorageSimulator", swiftSettings: strictSwift),
        .executableTarget(
            name: "solidus-sim",
            dependencies: [
                "CProcessControl", "CommandArguments", "ObjectStorage", "ProtocolStorage", "QuorumProtocol",
                "QuorumSimulator", "StorageSimulator", arguments,
            ],
            path: "Sources/Testing/solidus-sim",
            swiftSettings: strictSwift),

        // The store: a journal and the index over it. Knows nothing of the protocol.
        .target(name: "CPosixStorage", dependencies: [], cSettings: strictC),
        .target(
            name: "CIndexDatabase", dependencies: [], cxxSettings: strictCXX,
            linkerSettings: [.linkedLibrary("rocksdb")]),
        .target(
            name: "ObjectStorage", dependencies: ["CISAL", "CIndexDatabase", "CPosixStorage", "ErasureCode"],
            swiftSettings: strictSwift),

        .target(
            name: "ProtocolStorage", dependencies: ["ErasureCode", "Fingerprint", "ObjectStorage", "QuorumProtocol"],
            swiftSettings: strictSwift),

        // The shells: sockets and disks.
        .target(
            name: "QuorumTransport",
            dependencies: [nioCore, nioPosix, nioTLS, nioSSL, x509, crypto, logging],
            swiftSettings: strictSwift),
        .target(name: "DurableFiles", dependencies: [], swiftSettings: strictSwift),
        .target(
            name: "ClusterFiles",
            dependencies: ["DurableFiles", "Fingerprint", "QuorumProtocol", "QuorumTransport", crypto],
            swiftSettings: strictSwift),
        .target(
            name: "QuorumOperations",
            dependencies: [
                "ClusterFiles", "ErasureCode", "Fingerprint", "QuorumProtocol", "QuorumTransport", "QuorumWire",
                nioCore, nioPosix, logging,
            ],
            swiftSettings: strictSwift),
        .target(
            name: "QuorumServer",
            dependencies: [
                "ClusterFiles", "ErasureCode", "Fingerprint", "ObjectStorage", "ProtocolStorage", "QuorumOperations",
                "QuorumProtocol", "QuorumTransport", "QuorumWire", nioCore, nioPosix, nioHTTP, crypto, deques, logging,
            ],
            swiftSettings: strictSwift),
        .target(
            name: "QuorumClient",
            dependencies: [
                "ClusterFiles", "ErasureCode", "Fingerprint", "QuorumOperations", "QuorumProtocol", "QuorumTransport",
                "QuorumWire", nioCore, nioPosix, crypto, deques, logging, metrics, tracing,
            ],
            swiftSettings: strictSwift),
        // What people import.
        .target(
            name: "Solidus",
            dependencies: [
                "ClusterFiles", "DurableFiles", "ErasureCode", "Fingerprint", "QuorumClient", "QuorumProtocol",
                "QuorumTransport", "QuorumWire", nioCore, nioPosix, crypto, logging,
            ],
            swiftSettings: strictSwift),

        // What speaks S3: a client of the cluster like others.
        .target(
            name: "S3Gateway",
            dependencies: [
                "CISAL", "ClusterFiles", "ErasureCode", "QuorumClient", "QuorumProtocol", "Solidus", nioCore, nioPosix,
                nioHTTP, nioSSL, crypto, logging,
            ],
            resources: [
                .embedInCode("Status/page.html"), .embedInCode("Status/page.css"), .embedInCode("Status/page.js"),
            ],
            swiftSettings: strictSwift),

        // The benchmark: what is made of measurements, and the measuring.
        .target(
            name: "BenchmarkResults", dependencies: ["QuorumProtocol"], path: "bench/Results",
            swiftSettings: strictSwift),
        .target(name: "CDiskSpace", dependencies: [], path: "bench/CDiskSpace", cSettings: strictC),
        .target(
            name: "InProcessWork",
            dependencies: ["ErasureCode", "Fingerprint", "QuorumProtocol", "QuorumWire", crypto, nioCore],
            path: "bench/InProcess", swiftSettings: strictSwift),
        .target(
            name: "StoreSeeding",
            dependencies: [
                "ClusterFiles", "ErasureCode", "ObjectStorage", "ProtocolStorage", "QuorumProtocol", "QuorumServer",
            ],
            path: "bench/Seeding", swiftSettings: strictSwift),
        .executableTarget(
            name: "solidus-work",
            dependencies: [
                "CommandArguments", "ErasureCode", "InProcessWork", "QuorumProtocol", arguments, crypto,
            ],
            path: "bench/Work", swiftSettings: strictSwift),
        .executableTarget(
            name: "solidus-bench",
            dependencies: [
                "BenchmarkResults", "CDiskSpace", "CFragmentCore", "CISAL", "CLibCrypto", "CProcessControl",
                "ClusterFiles", "CommandArguments", "ErasureCode", "Fingerprint", "HostileClients", "InProcessWork",
                "ObjectStorage", "QuorumClient", "QuorumOperations", "QuorumProtocol", "QuorumServer", "QuorumWire",
                "S3Wire", "StoreSeeding", arguments, crypto, histogram, nioCore, nioPosix, nioSSL, nioTLS,
            ],
            path: "bench",
            exclude: [
                "CDiskSpace", "InProcess", "Results", "Seeding", "Work", "count-instructions", "instructions.txt",
                "plot", "plot.py", "run-seaweedfs",
            ],
            swiftSettings: strictSwift),

        // The program, and what the program that tortures clusters has in common with it.
        .target(name: "CProcessControl", dependencies: [], cSettings: strictC),
        .target(
            name: "CommandOutcome",
            dependencies: [
                "CProcessControl", "ClusterFiles", "CommandArguments", "QuorumClient", "QuorumProtocol", "QuorumServer",
                "QuorumTransport", arguments,
            ],
            swiftSettings: strictSwift),
        // Files to objects and back, many at a time: the part of the command line that needs no command.
        .target(
            name: "FileTransfers",
            dependencies: [
                "CProcessControl", "ClusterFiles", "CommandArguments", "CommandOutcome", "DurableFiles", "ErasureCode",
                "Fingerprint", "QuorumClient", "QuorumProtocol", "QuorumTransport", crypto, deques,
            ],
            swiftSettings: strictSwift),
        .target(
            name: "ServerProcesses",
            dependencies: ["CProcessControl", "ClusterFiles", "CommandOutcome", "DurableFiles", "QuorumTransport"],
            swiftSettings: strictSwift),
        .executableTarget(
            name: "solidus",
            dependencies: [
                "CProcessControl", "ClusterFiles", "CommandArguments", "CommandOutcome", "DurableFiles",
                "FileTransfers", "ObjectStorage", "ProtocolStorage", "QuorumClient", "QuorumOperations",
                "QuorumProtocol", "QuorumServer", "QuorumTransport", "QuorumWire", "S3Gateway", "ServerProcesses",
                arguments, logging,
            ],
            swiftSettings: strictSwift),

        // A client of S3 of the tests' and the benchmark's own.
        .target(
            name: "S3Wire", dependencies: [crypto], path: "Sources/Testing/S3Wire", swiftSettings: strictSwift),

        // Behind `solidus torture` and `solidus check`: clients at work on a cluster that is harmed, and their judge.
        .executableTarget(
            name: "solidus-torture",
            dependencies: [
                "CProcessControl", "ClusterFiles", "CommandArguments", "CommandOutcome", "ErasureCode", "Fingerprint",
                "HistoryChecker", "HostileClients", "ObjectStorage", "QuorumClient", "QuorumProtocol", "QuorumServer",
                "QuorumTransport", "S3Gateway", "S3Wire", "ServerProcesses", "SmallDisks", arguments, crypto, nioPosix,
            ], path: "Sources/Testing/solidus-torture",
            swiftSettings: strictSwift),

        // The programs of Examples/, which is a package of its own for those who read it. They are built and run here,
        // where all that they depend on is built already, and see no more of the library than other packages do.
        .executableTarget(
            name: "example-hello", dependencies: ["Solidus"], path: "Examples/Sources/hello", packageAccess: false,
            swiftSettings: strictSwift),
        .executableTarget(
            name: "example-stream", dependencies: ["Solidus"], path: "Examples/Sources/stream", packageAccess: false,
            swiftSettings: strictSwift),
        .executableTarget(
            name: "example-backup", dependencies: ["Solidus"], path: "Examples/Sources/backup", packageAccess: false,
            swiftSettings: strictSwift),

        // A real server that lies, for tests; the program knows nothing of faults.
        .executableTarget(
            name: "solidus-faulty-server",
            dependencies: [
                "CProcessControl", "ClusterFiles", "QuorumFaults", "QuorumProtocol", "QuorumServer", arguments, crypto,
                logging,
            ], path: "Sources/Testing/solidus-faulty-server",
            swiftSettings: strictSwift),

        // Tests.
        .target(name: "LoopbackPorts", dependencies: [], path: "Tests/LoopbackPorts", swiftSettings: strictSwift),
        .testTarget(name: "ErasureCodeTests", dependencies: ["ErasureCode", "CISAL"], swiftSettings: strictSwift),
        .testTarget(
            name: "FingerprintTests",
            dependencies: [
                "CFragmentCore", "ErasureCode", "Fingerprint", "CLibCrypto", "CISAL",
            ],
            swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumProtocolTests", dependencies: ["ErasureCode", "Fingerprint", "QuorumProtocol", crypto],
            swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumFaultsTests",
            dependencies: ["ErasureCode", "Fingerprint", "QuorumFaults", "QuorumProtocol", crypto],
            swiftSettings: strictSwift),
        .testTarget(name: "HistoryCheckerTests", dependencies: ["HistoryChecker"], swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumSimulatorTests",
            dependencies: ["ErasureCode", "Fingerprint", "QuorumFaults", "QuorumProtocol", "QuorumSimulator"],
            swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumWireTests",
            dependencies: [
                "QuorumWire", "QuorumProtocol", "Fingerprint", "ErasureCode", nioCore, crypto,
            ],
            swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumTransportTests",
            dependencies: [
                "LoopbackPorts", "QuorumTransport", nioCore, nioPosix, nioTLS, nioSSL, x509, crypto, logging,
            ],
            swiftSettings: strictSwift),
        .testTarget(
            name: "ObjectStorageTests",
            dependencies: ["ErasureCode", "ObjectStorage", "SmallDisks", "StorageSimulator"],
            swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumServerTests",
            dependencies: ["ObjectStorage", "QuorumProtocol", "QuorumServer", logging, nioCore],
            swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumClientTests",
            dependencies: [
                "ClusterFiles", "ErasureCode", "Fingerprint", "LoopbackPorts", "ObjectStorage", "ProtocolStorage",
                "QuorumClient", "QuorumOperations", "QuorumProtocol", "QuorumServer", "QuorumTransport", "QuorumWire",
                "StorageSimulator", logging, nioCore, nioPosix,
            ],
            swiftSettings: strictSwift),
        .testTarget(
            name: "SolidusTests",
            dependencies: [
                "ClusterFiles", "LoopbackPorts", "ObjectStorage", "QuorumServer", "Solidus", logging, tracing,
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            swiftSettings: strictSwift),
        .testTarget(
            name: "S3GatewayTests",
            dependencies: [
                "ClusterFiles", "LoopbackPorts", "ObjectStorage", "QuorumClient", "QuorumServer", "S3Gateway",
                "Solidus", crypto, logging, nioCore, nioHTTP,
            ],
            swiftSettings: strictSwift),
        .testTarget(
            name: "BenchmarkResultsTests", dependencies: ["BenchmarkResults", "QuorumProtocol"],
            swiftSettings: strictSwift),
        .testTarget(
            name: "FileTransfersTests",
            dependencies: [
                "ClusterFiles", "CommandOutcome", "DurableFiles", "ErasureCode", "FileTransfers", "QuorumClient",
                "QuorumProtocol", "QuorumTransport",
            ],
            swiftSettings: strictSwift),
        .testTarget(
            name: "ClusterFilesTests",
            dependencies: ["ClusterFiles", "DurableFiles", "QuorumProtocol", "QuorumTransport", crypto],
            swiftSettings: strictSwift),
        .testTarget(
            name: "ClusterTests",
            dependencies: [
                "ClusterFiles", "CommandArguments", "CommandOutcome", "ErasureCode", "FileTransfers", "Fingerprint",
                "HistoryChecker", "HostileClients", "LoopbackPorts", "ObjectStorage", "ProtocolStorage", "QuorumClient",
                "QuorumFaults", "QuorumOperations", "QuorumProtocol", "QuorumServer", "QuorumTransport", "QuorumWire",
                "S3Wire", "SmallDisks", "StorageSimulator", "StoreSeeding", "example-backup", "example-hello",
                "example-stream",
                "solidus", "solidus-faulty-server", "solidus-sim", "solidus-torture", nioCore, nioPosix, crypto,
                logging,
            ],
            swiftSettings: strictSwift),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11,
    cxxLanguageStandard: .cxx17
)
