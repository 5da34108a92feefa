// Where servers listen, and by which certificates they are known.

import Fingerprint

/// A server as the list of addresses has it.
package struct AddressEntry: Hashable, Sendable {
    package let node: NodeID
    package let address: NetworkAddress
    /// SHA-256 of the server's certificate.
    package let pin: Digest256

    package init(node: NodeID, address: NetworkAddress, pin: Digest256) {
        self.node = node
        self.address = address
        self.pin = pin
    }
}

/// The servers' addresses and certificates. There may be servers in it that no configuration has yet, or has any more.
package struct AddressList: Hashable, Sendable {
    /// In the order of the nodes' numbers.
    package let servers: [AddressEntry]

    /// - Throws: when two servers share a number, an address or a certificate.
    package init(_ servers: [AddressEntry]) throws(ListFault) {
        let sorted = servers.sorted { $0.node < $1.node }
        var addresses: Set<NetworkAddress> = []
        var pins: Set<Digest256> = []
        var previous: NodeID?
        for server in sorted {
            guard previous != server.node else { throw .repeated("\(server.node)") }
            guard addresses.insert(server.address).inserted else { throw .repeated("\(server.address)") }
            guard pins.insert(server.pin).inserted else { throw .repeated("\(server.pin)") }
            previous = server.node
        }
        self.servers = sorted
    }

    package subscript(node: NodeID) -> AddressEntry? { servers.first { $0.node == node } }
}

extension AddressList: ClusterList {
    package static let kind = ListKind.addresses

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(UInt32(servers.count))
        for server in servers {
            encoder.append(server.node.rawValue)
            encoder.append(counted: Array(server.address.host.utf8))
            encoder.append(UInt16(server.address.port))
            encoder.append(server.pin)
        }
    }

    package init(from decoder: inout CanonicalDecoder) throws(ListFault) {
        do {
            var servers: [AddressEntry] = []
            for _ in 0..<(try decoder.count("servers", as: UInt32.self, limit: decoder.remaining)) {
                let node = NodeID(try decoder.integer("server"))
                let host = try decoder.text("host", limit: NetworkAddress.hostSizeBytesMax)
                let port: UInt16 = try decoder.integer("port")
                guard let address = NetworkAddress(host: host, port: Int(port)) else {
                    throw ListFault.invalidAddress(node)
                }
                servers.append(AddressEntry(node: node, address: address, pin: try decoder.digest("certificate pin")))
            }
            try self.init(servers)
            guard self.servers == servers else { throw MalformedEncoding.notCanonical(field: "servers") }
        } catch let fault as ListFault {
            throw fault
        } catch {
            throw .malformed((error as? MalformedEncoding) ?? .notCanonical(field: "list of addresses"))
        }
    }
}
