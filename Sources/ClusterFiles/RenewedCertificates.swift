// The operator's part in renewing the certificates of servers (docs/operations.md, Certificates): first the list names
// the new ones beside the old, then servers show them, then the list forgets the old ones. Each step may be repeated.

import Foundation
import QuorumProtocol

extension OperatorHome {
    /// Makes new keys and certificates for all servers, beside those in use, and lists them as second ones.
    ///
    /// - Parameter validUntil: when they end.
    /// - Returns: the list that was written; nil when it names them all already.
    package func prepareCertificates(
        validUntil: Date = Date(timeIntervalSinceNow: 10 * 365.25 * 86400)
    ) throws(ConfigurationError) -> SignedList<AddressList>? {
        let list = try addressList()
        var servers: [AddressEntry] = []
        // All homes have to be here before one is touched.
        for server in list.contents.servers { _ = try ServerHome.number(ServerHome.file(home(server.node))) }
        for server in list.contents.servers {
            let (files, name) = (home(server.node), "solidus server \(server.node.rawValue)")
            var pin = try files.makeNextIdentity(commonName: name, validUntil: validUntil).digest
            if pin == server.pin {
                // Left by a renewal that is over.
                try files.forgetNextIdentity()
                pin = try files.makeNextIdentity(commonName: name, validUntil: validUntil).digest
            }
            servers.append(AddressEntry(node: server.node, address: server.address, pin: server.pin, secondPin: pin))
        }
        return try write(list, with: servers)
    }

    /// Puts the new keys and certificates in the place of the old ones, for the servers to take over.
    ///
    /// - Returns: the pins that servers show once they have.
    package func placeCertificates() throws(ConfigurationError) -> [NodeID: String] {
        var pins: [NodeID: String] = [:]
        for server in try addressList().contents.servers {
            guard let second = server.secondPin else { continue }
            let files = home(server.node)
            try files.takeNextIdentity()
            _ = try files.identity(
                pinned: [.init(second)], owner: server.node.description, listedIn: AddressList.fileName)
            pins[server.node] = "\(second)"
        }
        return pins
    }

    /// Takes the old certificates off the list.
    ///
    /// - Returns: the list that was written; nil when no old one is listed.
    package func forgetOldCertificates() throws(ConfigurationError) -> SignedList<AddressList>? {
        let list = try addressList()
        let written = try write(
            list,
            with: list.contents.servers.map {
                AddressEntry(node: $0.node, address: $0.address, pin: $0.secondPin ?? $0.pin)
            })
        for server in list.contents.servers { try home(server.node).forgetNextIdentity() }
        return written
    }

    private func home(_ node: NodeID) -> HomeFiles { HomeFiles("\(directory)/servers/\(node.rawValue)") }

    private func addressList() throws(ConfigurationError) -> SignedList<AddressList> {
        try SignedList(contentsOf: "\(directory)/\(AddressList.fileName)", for: configuration)
    }

    private func write(
        _ earlier: SignedList<AddressList>, with servers: [AddressEntry]
    ) throws(ConfigurationError) -> SignedList<AddressList>? {
        guard servers != earlier.contents.servers else { return nil }
        let contents: AddressList
        do {
            contents = try AddressList(servers)
        } catch {
            throw .inconsistent(path: "\(directory)/\(AddressList.fileName)", reason: error.description)
        }
        return try write(contents, version: earlier.version + 1)
    }
}
