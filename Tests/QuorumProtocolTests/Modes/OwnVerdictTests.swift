// A server that has found a version to be poisonous itself, and looks for others' statements: without f + 1 of them it
// must keep the fragments for ever. (Found by simulation: one of f + 1 finders was always the last to answer, had the
// proof and was never heard; another one had the proof too, and was not enough.)
//
// The rule (docs/protocol.md, Modes that verify later, Verifying): on its own verdicts a server takes what a single
// server shows, and waits for whoever is slow until it has to ask again. Others' verdicts get the hedge time.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A server that looks for the proof of its own verdict")
struct OwnVerdictTests {
    private static let modes: [VerificationMode] = [.lazy, .readTime]
    private static let shapes = [
        TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(faults: 2, dataFragmentCount: 4),
    ]

    private struct Setting {
        let group: TestGroup
        let poison: TestVersion
        /// All have a sound version below, and nothing else.
        var reading: ScriptedReading

        init(_ shape: TestGroup.Shape, _ mode: VerificationMode) {
            group = shape.group(mode)
            poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 2)
            reading = ScriptedReading(
                group, everywhere: group.shown([group.version(.photo, "good", counter: 1)], isFirstVerified: true))
        }

        mutating func show(_ signers: [Position], at server: Position) {
            guard let shown = reading.servers[server] else { return }
            reading.servers[server]!.claim = CommittedClaim(
                sound: shown.claim.sound, poisonous: [group.poisonous(poison, by: signers)])
        }

        /// Who signed what server 0 finds as a proof.
        var proof: [Position]? {
            (reading.read(forVerification: true).outcome?.proofs[poison.timestamp]?.map(\.signed)).map {
                group.signers($0)
            }
        }
    }

    @Test("takes it from a single server that has all of it", arguments: shapes, modes)
    func singleSource(shape: TestGroup.Shape, mode: VerificationMode) {
        var setting = Setting(shape, mode)
        let signers = Array(setting.group.servers.dropFirst().prefix(setting.group.quorums.vouchers))
        // Its own statement is still to be signed.
        setting.show([], at: 0)
        setting.show(signers, at: 1)
        #expect(setting.proof == signers)
    }

    @Test("hears the finder that is always the slowest", arguments: shapes, modes)
    func slowestFinder(shape: TestGroup.Shape, mode: VerificationMode) {
        var setting = Setting(shape, mode)
        let finders = Array(setting.group.servers.prefix(setting.group.quorums.vouchers))
        for finder in finders { setting.show([finder], at: finder) }
        setting.reading.later = Set(finders.suffix(1))
        #expect(setting.proof == finders)
    }

    @Test(
        "waits no longer than the hedge time for what others say, however many statements one shows", arguments: shapes)
    func othersVerdict(shape: TestGroup.Shape) {
        var setting = Setting(shape, .lazy)
        let finders = Array(setting.group.servers.dropFirst().prefix(setting.group.quorums.vouchers))
        setting.show(finders, at: finders[0])
        setting.reading.later = [finders[1]]
        #expect(setting.proof == nil)
    }

    @Test("is not taken in by statements that nobody signed, and takes the good ones when they come", arguments: shapes)
    func forgedStatements(shape: TestGroup.Shape) {
        var setting = Setting(shape, .lazy)
        let group = setting.group
        let finders = Array(group.servers.prefix(group.quorums.vouchers))
        for finder in finders { setting.show([finder], at: finder) }
        let liar = group.servers[group.servers.count - 1]
        let forged = TestGroup(
            faults: shape.faults, dataFragmentCount: shape.dataFragmentCount, mode: .lazy, keySeed: 7)
        setting.reading.servers[liar]!.claim = CommittedClaim(
            sound: setting.reading.servers[liar]!.claim.sound,
            poisonous: [forged.poisonous(setting.poison)])
        setting.reading.later = Set(finders.suffix(1))
        #expect(setting.proof == finders)
    }
}
