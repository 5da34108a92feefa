// Versions of an object that servers still keep, and reading one of them (docs/protocol.md, Versions).

import ErasureCode
import QuorumOperations
import QuorumProtocol

/// A version that an object has or had.
public struct ObjectVersion: Sendable, Hashable {
    public let timestamp: Timestamp
    /// Whether it is the object's now.
    public let isCurrent: Bool
    /// What is to know of the value; nil for a deletion.
    public let head: ListedHead?
}

extension ObjectClient {
    /// The versions of an object that servers still keep, the newest first: the current one, and those that f + 1
    /// servers say they had as current before. How long these are kept is the cluster's retention; a version that was
    /// overwritten before it had reached all servers may be missing.
    ///
    /// - Throws: as `get`, but `.notFound`: an object that was deleted has versions, too.
    public func versions(of key: ObjectKey) async throws(ClientError) -> [ObjectVersion] {
        try await keptVersions(of: key).versions
    }

    private func keptVersions(
        of key: ObjectKey
    ) async throws(ClientError) -> (versions: [ObjectVersion], rounds: Int) {
        let current = try await find(key, wantsValue: false)
        let lists = try await listHeld(key, .versions)
        var versions: [ObjectVersion] = []
        if let timestamp = current.found.timestamp {
            versions.append(
                ObjectVersion(timestamp: timestamp, isCurrent: true, head: current.descriptor?.descriptor.listedHead))
        }
        let earlier = HeldAnswers.versions(
            in: lists, vouchedForBy: parameters.quorums.vouchers, below: current.found.timestamp)
        for version in earlier {
            versions.append(ObjectVersion(timestamp: version.timestamp, isCurrent: false, head: version.head))
        }
        return (versions, current.rounds + 1)
    }

    /// Opens one version of an object, to be read piece by piece.
    ///
    /// - Throws: `.noVersion` when it is none of `versions(of:)` or a deletion; and as `open(_:range:)`.
    public func open(
        _ key: ObjectKey, version timestamp: Timestamp, range: Range<UInt64>? = nil
    ) async throws(ClientError) -> ObjectBytes {
        let (versions, rounds) = try await keptVersions(of: key)
        guard let version = versions.first(where: { $0.timestamp == timestamp }), version.head != nil
        else { throw .noVersion(key, timestamp) }
        try checkOpen()
        let fetcher = VersionFetcher(
            parameters: parameters, key: key, timestamp: timestamp,
            preference: context.connections.preference(parameters.placement(of: key)))
        let operation = Operation(
            fetcher, key: key, deadline: context.deadline, progress: context.progress, hedge: readHedge,
            context: context)
        switch await operation.run() {
        case .success(let outcome):
            demote(outcome.observations)
            let status = ObjectStatus(
                key: key, lengthBytes: outcome.descriptor.lengthBytes, timestamp: timestamp,
                metadata: outcome.descriptor.metadata,
                layout: ObjectLayout(outcome.descriptor, at: parameters.placement(of: key)), rounds: rounds + 1,
                observations: outcome.observations)
            return try opened(status, outcome.descriptor, outcome.stripes, isCurrent: false, range)
        case .failure(.tooFewFragments(_, have: 0, _, _)): throw .noVersion(key, timestamp)
        case .failure(let failure): throw error(key, failure, operation.seenReplies)
        }
    }
}
