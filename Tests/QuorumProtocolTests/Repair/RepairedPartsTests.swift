// What a server does with what was found for a version: it is stored if it is still wanted when the object's turn
// comes, and else nothing happens (docs/protocol.md, Repair).

import ErasureCode
import QuorumProtocol
import Testing

@Suite("Repair: what was found")
struct RepairedPartsTests {
    let group = TestGroup()

    /// A server that knows of a committed version and has nothing but its descriptor.
    private func host(_ server: Position = 0, isDescribed: Bool = true) -> (ReplicaHost, TestVersion) {
        let host = ReplicaHost(group, server)
        let version = group.version(.photo, "value", counter: 1)
        host.commit(version)
        if isDescribed { _ = host.answer(version.describe) }
        return (host, version)
    }

    private func fragments(_ host: ReplicaHost, _ version: TestVersion) -> [SharedBytes]? {
        guard
            case .version(_, let parts) = host.answer(
                .read(Read(key: .photo, version: version.timestamp, portion: .fragments)))
        else { return nil }
        return parts?.fragments
    }

    // MARK: Wanted

    @Test("is held, durably, as if its PREPARE had come", arguments: [false, true])
    func held(isDescribed: Bool) {
        let (host, version) = host(isDescribed: isDescribed)
        host.expectTaken(version.found(for: 0))
        host.crash()
        #expect(host.state(version) == .held && host.wanted() == nil && host.store.wants.isEmpty)
        #expect(fragments(host, version) == version.fragments[0])
        let other = ReplicaHost(group, 0)
        other.expectStored(version)
        other.commit(version)
        #expect(other.store == host.store, "and nothing else")
        let before = host.store
        host.expectStored(version)
        #expect(host.store == before)
    }

    @Test("is held again when it was lost")
    func lostAgain() {
        let (host, version) = host(3)
        host.prepare(version)
        for _ in 0..<3 {
            host.rotten = [.fragments(version.timestamp)]
            #expect(fragments(host, version) == nil && host.state(version) == .lost)
            host.expectTaken(version.found(for: 3))
            #expect(fragments(host, version) == version.fragments[3] && host.wanted() == nil)
        }
    }

    @Test("is a descriptor first, whose fragments are then wanted")
    func descriptor() {
        for server in group.servers {
            let (host, version) = host(server, isDescribed: false)
            host.expectTaken(version.foundDescriptor)
            #expect(host.state(version) == .absent)
            #expect(host.wanted() == version.timestamp)
            host.expectNotTaken(version.foundDescriptor, .notWanted)
            #expect(host.answer(version.describe) == .committed(version.timestamp, needsDescriptor: false))
        }
    }

    @Test("is charged to the version's writer as what he brings himself")
    func charged() {
        let (host, version) = host()
        let bare = host.accounts.charge(of: .alice)
        host.expectTaken(version.found(for: 0))
        let size = version.fragments[0][0].count
        #expect(host.accounts.charge(of: .alice).storedBytes == bare.storedBytes + Int64(size))
    }

    @Test("makes no statement")
    func unsigned() {
        let (host, version) = host()
        var (effects, statementCount) = (host.handle(.repaired(.photo, [version.found(for: 0)], number: 1)), 0)
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if case .store(_, _, let statements) = effect { statementCount += statements.count }
            if case .input(let input) = host.run(effect) { effects += host.handle(input) }
        }
        #expect(host.state(version) == .held && statementCount == 0)
    }

    // MARK: Not wanted

    /// What has happened until the object's turn came.
    enum Meanwhile: CaseIterable {
        case held
        case superseded
        case overtaken
        case deleted
        case voided
        case pending
        case unknown
    }

    @Test("changes nothing when it is not wanted any more", arguments: Meanwhile.allCases)
    func notWanted(meanwhile: Meanwhile) {
        var (host, version) = host()
        let next = group.version(.photo, "next", counter: 2)
        switch meanwhile {
        case .held: host.expectStored(version)
        case .superseded:
            host.expectStored(next)
            host.commit(next)
        case .overtaken: host.commit(next)
        case .deleted:
            let tombstone = group.version(.photo, nil, counter: 2)
            host.prepare(tombstone)
            host.commit(tombstone)
            host.pass(toMilliseconds: 1_000_000)
        case .voided: host.expectTaken(version.foundVoid)
        case .pending:
            host = ReplicaHost(group, 0)
            host.expectStored(version)
        case .unknown: host = ReplicaHost(group, 0)
        }
        for found in [version.found(for: 0), version.foundDescriptor, version.foundVoid] {
            host.expectNotTaken(found, .notWanted)
        }
        // A large version's finds are none of a small one.
        let part = TestGroup.staging().part(lengthBytes: 600)
        for found in [version.good(part, 0), version.voidStripes, version.adoption, version.foundStaged] {
            host.expectNotTaken(found, .notWanted)
        }
    }

    @Test("of large versions changes nothing at one that is small and wanted")
    func otherKind() {
        let (host, version) = host()
        let part = group.part(lengthBytes: 600)
        let finds = [
            version.adoption, version.foundStaged, version.voidStripes, version.good(part, 0),
            version.found(part, 0, for: 0),
        ]
        for found in finds { host.expectNotTaken(found, .notWanted) }
        #expect(host.wanted() == version.timestamp)
    }

    @Test("of another version than the wanted one changes nothing")
    func otherVersion() {
        let (host, version) = host()
        let lower = group.version(.photo, "lower", counter: 1, writer: ClientID(high: 0, low: 1))
        let higher = group.version(.photo, "higher", counter: 2)
        #expect(lower.timestamp < version.timestamp && version.timestamp < higher.timestamp)
        for other in [lower, higher] {
            for found in [other.found(for: 0), other.foundDescriptor, other.foundVoid] {
                host.expectNotTaken(found, .notWanted)
            }
        }
    }

    @Test("is not wanted while a change before it is on its way, once that is made")
    func inTurn() {
        let (host, version) = host()
        let next = group.version(.photo, "next", counter: 2)
        host.expectStored(next)
        var effects = host.handle(
            .request(
                RequestTag(session: 1, request: 1), from: .client(.alice),
                next.commit(group.certificate(of: next))))
        effects += host.handle(.repaired(.photo, [version.found(for: 0)], number: 5))
        var end: Result<Void, RepairRefusal>?
        while !effects.isEmpty {
            switch host.run(effects.removeFirst()) {
            case .input(let input): effects += host.handle(input)
            case .repairEnded(5, let result): end = result
            default: break
            }
        }
        #expect(end?.failure == .notWanted)
        #expect(host.state(version) == .absent)
    }

    // MARK: The disk

    @Test("is told to have failed when the store does not take it", arguments: [StoreFailure.full, .failed])
    func notStored(failure: StoreFailure) {
        let (host, version) = host()
        let (before, charges) = (host.store, host.accounts.all)
        var effects = host.handle(.repaired(.photo, [version.found(for: 0)], number: 5))
        var ends: [Result<Void, RepairRefusal>] = []
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if case .store(let token, _, _) = effect {
                effects += host.handle(.stored(token, .failure(failure)))
                continue
            }
            switch host.run(effect) {
            case .input(let input): effects += host.handle(input)
            case .repairEnded(5, let result): ends.append(result)
            default: Issue.record("\(effect)")
            }
        }
        #expect(ends.map(\.failure) == [.storage(failure)])
        #expect(host.store == before)
        if failure == .full { #expect(host.accounts.all == charges) }
        // It is wanted as before.
        host.crash()
        host.expectTaken(version.found(for: 0))
    }

    @Test("is told to have failed when the record cannot be read", arguments: [StoreFailure.failed, .recordLost])
    func notLoaded(failure: StoreFailure) {
        let (host, version) = host()
        host.crash()
        var ends: [Result<Void, RepairRefusal>] = []
        var effects = host.handle(.repaired(.photo, [version.found(for: 0)], number: 5))
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if case .load(let key, _) = effect {
                effects += host.handle(.loaded(key, .failure(failure)))
            } else if case .repairEnded(5, let result) = host.run(effect) {
                ends.append(result)
            }
        }
        #expect(ends.map(\.failure) == [.storage(failure)])
    }
}
