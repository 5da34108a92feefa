// Where servers listen, and by which certificates they are known.

import Fingerprint

/// A server as the list of addresses has it.
package struct AddressEntry: Hashable, Sendable {
    package let node: NodeID
    package let address: NetworkAddress
    /// SHA-256 of the server's certificate.
    package let pin: Digest256
    /// That of the certificate which takes its place: until then the server may show either.
    package let secondPin: Digest256?

    package init(node: NodeID, address: NetworkAddress, pin: Digest256, secondPin: Digest256? = nil) {
        self.node = node
        self.address = address
        self.pin = pin
        self.secondPin = secondPin
    }

    package var pins: [Digest256] { [pin] + (secondPin.map { [$0] } ?? []) }
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
            for pin in server.pins {
                guard pins.insert(pin).inserted else { throw .repeated("\(pin)") }
            }
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
        // A list without any is the same as before there were second ones.
        let renewed = servers.filter { $0.secondPin != nil }
        guard !renewed.isEmpty else { return }
        encoder.append(UInt32(renewed.count))
        for server in renewed {
            guard let pin = server.secondPin else { continue }
            encoder.append(server.node.rawValue)
            encoder.append(pin)
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
            if decoder.remaining > 0 {
                let count = try decoder.count("second pins", as: UInt32.self, limit: decoder.remaining)
                guard count > 0 else { throw MalformedEncoding.notCanonical(field: "second pins") }
                var next = 0
                for _ in 0..<count {
                    let node = NodeID(try decoder.integer("server"))
                    let pin = try decoder.digest("second certificate pin")
                    guard let place = servers[next...].firstIndex(where: { $0.node == node }) else {
                        throw MalformedEncoding.notCanonical(field: "second pins")
                    }
                    let entry = servers[place]
                    servers[place] = AddressEntry(
                        node: node, address: entry.address, pin: entry.pin, secondPin: pin)
                    next = place + 1
                }
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
