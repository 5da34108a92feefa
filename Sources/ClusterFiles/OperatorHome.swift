// The operator's side of a cluster's directory: the key that signs, and changes of the lists under it.

import Crypto
import DurableFiles
import Foundation
import Glibc
import QuorumProtocol
import QuorumTransport

/// The operator's key, DIR/operator/key.pem, with the directory whose lists it signs. The key decides who may use the
/// cluster: it is to be kept offline, and put in its place for these commands only.
package struct OperatorHome {
    static let fileName = "operator/key.pem"

    let directory: String
    private let key: P256.Signing.PrivateKey
    let configuration: ClusterConfiguration

    /// Loads the key of the cluster in a directory.
    ///
    /// - Throws: what is wrong, and where; another cluster's key is.
    package init(clusterDirectory: String) throws(ConfigurationError) {
        directory = HomeFiles(clusterDirectory).directory
        let clusterFile = "\(directory)/\(ClusterConfiguration.fileName)"
        configuration = try ClusterConfiguration(contentsOf: clusterFile)
        let path = "\(directory)/\(Self.fileName)"
        let bytes = try TextFile.read(
            path, advice: "the operator's key signs lists; bring it from where it is kept", isPrivate: true)
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: String(decoding: bytes, as: UTF8.self)) else {
            throw .unusableIdentity(reason: "\(path): not a P-256 private key in PEM; bring it from where it is kept")
        }
        guard OperatorKey(key.publicKey) == configuration.operatorKey else {
            throw .foreignOperatorKey(path: path, listedIn: clusterFile)
        }
        self.key = key
    }

    /// Makes the key of a new cluster.
    static func create(in root: String) throws(ConfigurationError) -> P256.Signing.PrivateKey {
        try HomeFiles.makeDirectory("\(root)/operator")
        let key = P256.Signing.PrivateKey()
        try TextFile.create("\(root)/\(fileName)", key.pemRepresentation + "\n", mode: 0o600)
        return key
    }

    /// Makes a client with a home in the cluster's directory, and lists it.
    ///
    /// - Returns: the access list that was written.
    package func add(_ client: NewClient) throws(ConfigurationError) -> SignedList<AccessList> {
        guard ClientName.isValid(client.name) else {
            throw .invalidClient(name: client.name, reason: ClientName.rule)
        }
        let access = try accessList()
        let home = "\(directory)/clients/\(client.name)"
        // A client is listed once its home is durable, and the home gets its name once the client is listed: a name
        // that is taken on the list without a home there is an addition that was interrupted.
        let staging = "\(directory)/\(Self.stagingName(of: client.name))"
        if let listed = access.contents.client(named: client.name) {
            guard Glibc.access(home, F_OK) != 0, Self.holds(staging, listed) else {
                throw .invalidClient(name: client.name, reason: "there is one of this name already")
            }
            try TextFile.writing { () throws(FileError) in try DurableFile.move(staging, to: home) }
            return access
        }
        guard Glibc.access(home, F_OK) != 0 else {
            throw .cannotWrite(
                path: home,
                reason: "an earlier client of this name has its home here; move it away, or choose a new name")
        }
        try? FileManager.default.removeItem(atPath: staging)
        let entry: AccessEntry
        do throws(ConfigurationError) {
            entry = try client.write(to: staging)
            try TextFile.writing { () throws(FileError) in
                try DurableFile.synchronizeTree(staging)
                try DurableFile.synchronizeDirectory(containing: staging)
            }
        } catch {
            try? FileManager.default.removeItem(atPath: staging)
            throw error
        }
        // Should that fail, whether the list names the client may be unknown; the next attempt takes it from here.
        let changed = try write(access, with: access.contents.clients + [entry])
        try TextFile.writing { () throws(FileError) in try DurableFile.move(staging, to: home) }
        return changed
    }

    /// Where a client's home is before the client is listed, below the cluster's directory.
    static func stagingName(of client: String) -> String { "clients/.\(client).new" }

    /// Whether the directory is the home of a client that is listed.
    private static func holds(_ directory: String, _ listed: AccessEntry) -> Bool {
        guard Glibc.access(directory, F_OK) == 0 else { return false }
        do {
            let files = HomeFiles(directory)
            return try TransportIdentity(privateKeyPath: files.privateKey, certificatePath: files.certificate).pin
                .digest
                == listed.pin
        } catch {
            return false
        }
    }

    /// Takes a client off the access list. Its home stays, and is worth nothing any more.
    ///
    /// - Returns: the access list that was written.
    package func revoke(_ name: String) throws(ConfigurationError) -> SignedList<AccessList> {
        let access = try accessList()
        guard access.contents.client(named: name) != nil else {
            throw .unknownClient(
                path: "\(directory)/\(AccessList.fileName)", name: name, listed: access.contents.clients.map(\.name))
        }
        return try write(access, with: access.contents.clients.filter { $0.name != name })
    }

    /// Changes what each server keeps for a client.
    ///
    /// - Returns: the access list that was written.
    package func setQuotas(
        _ name: String, _ change: (inout ClientQuotas) -> Void
    ) throws(ConfigurationError) -> SignedList<AccessList> {
        let access = try accessList()
        guard let place = access.contents.clients.firstIndex(where: { $0.name == name }) else {
            throw .unknownClient(
                path: "\(directory)/\(AccessList.fileName)", name: name, listed: access.contents.clients.map(\.name))
        }
        var clients = access.contents.clients
        let old = clients[place]
        var quotas = old.quotas
        change(&quotas)
        clients[place] = AccessEntry(name: old.name, id: old.id, pin: old.pin, grants: old.grants, quotas: quotas)
        return try write(access, with: clients)
    }

    /// Whether the operator's key is in its place beside the cluster's lists.
    package static func isThere(clusterDirectory: String) -> Bool {
        Glibc.access("\(HomeFiles(clusterDirectory).directory)/\(fileName)", F_OK) == 0
    }

    /// Lists the key of a server's next life. From then on nothing counts that it has said in earlier ones.
    ///
    /// - Returns: the list of keys that was written.
    package func add(_ key: KeyEntry) throws(ConfigurationError) -> SignedList<KeyList> {
        let path = "\(directory)/\(KeyList.fileName)"
        let earlier = try SignedList<KeyList>(contentsOf: path, for: configuration)
        guard !earlier.contents.keys.contains(key) else { return earlier }
        do {
            return try write(KeyList(earlier.contents.keys + [key]), version: earlier.version + 1)
        } catch let fault as ListFault {
            throw .inconsistent(path: path, reason: fault.description)
        } catch let error as ConfigurationError {
            throw error
        } catch {
            throw .inconsistent(path: path, reason: "\(error)")
        }
    }

    private func accessList() throws(ConfigurationError) -> SignedList<AccessList> {
        try SignedList(contentsOf: "\(directory)/\(AccessList.fileName)", for: configuration)
    }

    private func write(
        _ earlier: SignedList<AccessList>, with clients: [AccessEntry]
    ) throws(ConfigurationError) -> SignedList<AccessList> {
        let contents: AccessList
        do {
            contents = try AccessList(clients)
        } catch {
            throw .inconsistent(path: "\(directory)/\(AccessList.fileName)", reason: error.description)
        }
        return try write(contents, version: earlier.version + 1)
    }

    func write<Contents: ListFile>(
        _ contents: Contents, version: UInt64
    ) throws(ConfigurationError) -> SignedList<Contents> {
        let path = "\(directory)/\(Contents.fileName)"
        let list: SignedList<Contents>
        do {
            list = try SignedList(
                contents, cluster: configuration.parameters.configuration.cluster, version: version, signedBy: key)
        } catch {
            throw .cannotWrite(path: path, reason: error.reason)
        }
        guard list.bytes.count <= AnySignedList.sizeBytesMax else {
            throw .cannotWrite(
                path: path,
                reason: "the \(Contents.kind) would have \(list.bytes.count) bytes; "
                    + "it may have \(AnySignedList.sizeBytesMax)")
        }
        try TextFile.replace(path, list.toml(), mode: 0o644)
        return list
    }

    /// Signs those lists that were edited since they were signed, each as the version after the one that it says.
    ///
    /// - Returns: kinds and versions of what was signed.
    package func signEdited() throws(ConfigurationError) -> [(kind: ListKind, version: UInt64)] {
        // All are read before one is written, so that a mistake in one signs none.
        let addresses = try edited(AddressList.self)
        let keys = try edited(KeyList.self)
        let access = try edited(AccessList.self)
        var signed: [(kind: ListKind, version: UInt64)] = []
        if let addresses {
            signed.append((.addresses, try write(addresses.contents, version: addresses.version + 1).version))
        }
        if let keys { signed.append((.keys, try write(keys.contents, version: keys.version + 1).version)) }
        if let access { signed.append((.access, try write(access.contents, version: access.version + 1).version)) }
        return signed
    }

    /// The file of a list if its signature does not fit its contents.
    private func edited<Contents: ListFile>(
        _ type: Contents.Type
    ) throws(ConfigurationError) -> UnsignedListFile<Contents>? {
        let path = "\(directory)/\(Contents.fileName)"
        let file = try UnsignedListFile<Contents>(contentsOf: path)
        let cluster = configuration.parameters.configuration.cluster
        guard file.cluster == cluster else {
            throw .untrusted(path: path, .foreignCluster(Contents.kind, file.cluster))
        }
        let isSigned =
            (try? SignedList(
                file.contents, cluster: cluster, version: file.version, signature: file.signature,
                checkedBy: configuration.operatorKey)) != nil
        return isSigned ? nil : file
    }
}
