// The home of a gateway: that of the client that it is, with its settings and the key that all gateways of a cluster
// share.

import Glibc
import QuorumProtocol

/// Which conditional writes a gateway does.
public enum ConditionalWrites: String, Sendable, CaseIterable {
    /// Among the writers of this gateway they are atomic; it is the only one that the objects are written by.
    case singleGateway = "single-gateway"
    /// None.
    case off
}

/// The settings of a gateway, `gateway.toml` in its home.
public struct GatewaySettings: Sendable {
    static let format = 1
    static let fileName = "gateway.toml"

    /// The region that requests have to be signed for.
    public var region = "us-east-1"
    /// Names below which a host's first labels are a bucket.
    public var domains: [String] = []
    public var conditionalWrites = ConditionalWrites.singleGateway

    public init() {}

    init(contentsOf path: String) throws(ConfigurationError) {
        let file = try StrictTable(
            parsing: TextFile.read(path, advice: "'solidus gateway init' makes it"), path: path,
            keys: ["format", "region", "domains", "conditional_writes"])
        try file.checkFormat(Self.format)
        region = try file.text("region", expected: "a region's name", default: region)
        guard !region.isEmpty, region.utf8.count <= 63, region.utf8.allSatisfy(Self.isPlain) else {
            throw file.invalid("region", region, "a region is 1 to 63 of a-z, 0-9 and '-'")
        }
        domains = try file.strings("domains", expected: "names of hosts", default: [])
        for domain in domains where domain.isEmpty || !domain.utf8.allSatisfy({ Self.isPlain($0) || $0 == 0x2E }) {
            throw file.invalid("domains", domain, "a domain is a host's name in lower case, without a port")
        }
        let text = try file.text(
            "conditional_writes", expected: "\"single-gateway\" or \"off\"", default: conditionalWrites.rawValue)
        guard let conditionalWrites = ConditionalWrites(rawValue: text) else {
            throw file.invalid("conditional_writes", text, "it is \"single-gateway\" or \"off\"")
        }
        self.conditionalWrites = conditionalWrites
    }

    var text: String {
        """
        format = \(Self.format)
        region = "\(region)"
        domains = [\(domains.map { "\"\($0)\"" }.joined(separator: ", "))]
        # "single-gateway": If-Match and If-None-Match on writes are atomic among the writers of this gateway, and no other
        # gateway writes the same objects; "off": they are answered 501.
        conditional_writes = "\(conditionalWrites.rawValue)"

        """
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || byte == UInt8(ascii: "-")
    }
}

/// The directory of one gateway, `DIR/clients/NAME`.
public struct GatewayHome: Sendable {
    static let keyFileName = "gateway-key"
    static let keySizeBytes = 32

    public let client: ClientHome
    public let settings: GatewaySettings
    /// What all gateways of a cluster encrypt with what they share; 32 bytes.
    package let sharedKey: [UInt8]

    /// - Throws: what is wrong, and where.
    public init(path: String) throws(ConfigurationError) {
        client = try ClientHome(path: path)
        settings = try GatewaySettings(contentsOf: "\(client.directory)/\(GatewaySettings.fileName)")
        sharedKey = try Self.key(in: client.directory)
    }

    /// The home of the gateway of this name, or of the only one, in a cluster's directory.
    public init(clusterDirectory: String, name: String? = nil) throws(ConfigurationError) {
        let directory = HomeFiles(clusterDirectory).directory
        let found = Self.names(in: directory)
        guard let name = name ?? (found.count == 1 ? found[0] : nil) else {
            throw .invalidValue(
                path: "\(directory)/clients", key: "gateway", value: found.joined(separator: ", "),
                reason: found.isEmpty
                    ? "there is no gateway; 'solidus gateway init \(directory)' makes one"
                    : "there are several gateways; name one with --name")
        }
        try self.init(path: "\(directory)/clients/\(name)")
    }

    /// The clients of a cluster's directory that are gateways.
    package static func names(in clusterDirectory: String) -> [String] {
        let cluster = try? ClusterDescription(contentsOf: "\(clusterDirectory)/\(ClusterConfiguration.fileName)")
        return (cluster?.clients.map(\.name) ?? []).filter { name in
            access("\(clusterDirectory)/clients/\(name)/\(keyFileName)", F_OK) == 0
        }
    }

    /// Makes a client's home one of a gateway. It gets the key that the cluster's other gateways have, or a new one if it
    /// is the first.
    package static func make(
        _ name: String, clusterDirectory: String, settings: GatewaySettings
    ) throws(ConfigurationError) {
        let directory = HomeFiles(clusterDirectory).directory
        var key: [UInt8] = []
        if let other = names(in: directory).first {
            key = try Self.key(in: "\(directory)/clients/\(other)")
        } else {
            var generator = SystemRandomNumberGenerator()
            for _ in 0..<keySizeBytes { key.append(.random(in: .min ... .max, using: &generator)) }
        }
        let home = "\(directory)/clients/\(name)"
        try TextFile.create("\(home)/\(GatewaySettings.fileName)", settings.text, mode: 0o644)
        try TextFile.create("\(home)/\(keyFileName)", Hexadecimal.text(key) + "\n", mode: 0o600)
    }

    private static func key(in directory: String) throws(ConfigurationError) -> [UInt8] {
        let path = "\(directory)/\(keyFileName)"
        let bytes = try TextFile.read(path, advice: "'solidus gateway init' makes it", isPrivate: true)
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        guard let key = Hexadecimal.bytes(text, countMax: keySizeBytes), key.count == keySizeBytes else {
            throw .invalidValue(
                path: path, key: "", value: "", reason: "a gateway's key is 64 hexadecimal digits")
        }
        return key
    }
}
