// swift-tools-version: 6.2
import PackageDescription

let strictSwift: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [
    .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]

let package = Package(
    name: "solidus",
    targets: [
        // System libraries.
        .systemLibrary(name: "CISAL", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CRocksDB", providers: [.apt(["librocksdb-dev"])]),

        // The coding rooms.
        .target(name: "CFragmentCore", dependencies: ["CLibCrypto"], cSettings: strictC),
        .target(name: "ErasureCode", dependencies: ["CISAL", "CFragmentCore"], swiftSettings: strictSwift),
        .target(name: "Fingerprint", dependencies: ["CFragmentCore", "ErasureCode"], swiftSettings: strictSwift),

        // Tests.
        .testTarget(name: "ErasureCodeTests", dependencies: ["ErasureCode"], swiftSettings: strictSwift),
        .testTarget(
            name: "FingerprintTests", dependencies: ["Fingerprint", "ErasureCode", "CFragmentCore", "CLibCrypto"],
            swiftSettings: strictSwift),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11
)
