// swift-tools-version: 6.2
import PackageDescription

let strictSwift: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [
    .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let deques = Target.Dependency.product(name: "DequeModule", package: "swift-collections")

let package = Package(
    name: "solidus",
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    ],
    targets: [
        // System libraries.
        .systemLibrary(name: "CISAL", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CRocksDB", providers: [.apt(["librocksdb-dev"])]),

        // The C core and the coding rooms above it.
        .target(name: "CFragmentCore", dependencies: ["CLibCrypto"], cSettings: strictC),
        .target(name: "ErasureCode", dependencies: ["CISAL", "CFragmentCore"], swiftSettings: strictSwift),
        .target(name: "Fingerprint", dependencies: ["CFragmentCore", "ErasureCode"], swiftSettings: strictSwift),

        // The protocol: pure, without I/O.
        .target(
            name: "QuorumProtocol", dependencies: ["ErasureCode", "Fingerprint", crypto, deques],
            swiftSettings: strictSwift),

        // Tests.
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
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11
)
