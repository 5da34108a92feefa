// From a policy's name to the policy.

import QuorumProtocol

extension ServerFaultKind {
    /// A new liar of this kind, which shares what it sees with its conspiracy.
    package func make() -> any ServerFault {
        ObservantServer(policy: bare())
    }

    fileprivate func bare() -> any ServerFault {
        switch self {
        case .silent: SilentServer()
        case .mute: MuteServer()
        case .silentToSome: SelectiveServer()
        case .slow: SlowServer()
        case .commitDeaf: CommitDeafServer()
        case .withholding: WithholdingServer()
        case .stale: StaleServer()
        case .denial: DenyingServer()
        case .inflatedTimestamps: InflatingServer()
        case .claimFlood: FloodingServer()
        case .fabricatedVersions: FabricatingServer()
        case .alteredCertificates: AlteringServer()
        case .replayedCertificates: ReplayingServer()
        case .equivocation: EquivocatingServer()
        case .secretiveCommits: SecretiveServer()
        case .leakedCertificates: LeakingServer()
        case .inventedDigests: InventingServer()
        case .withheldCertificates: WithholdingProofServer()
        case .swappedCertificates: SwappingProofServer()
        case .foreignGroups: ForeignGroupServer()
        case .foreignEpochs: ForeignEpochServer()
        case .strangers: StrangersServer()
        case .foreignPositions: ForeignPositionServer()
        case .garbageFragments: GarbageServer()
        case .oneByteOff: OneByteOffServer()
        case .foreignFragments: ForeignFragmentsServer()
        case .misshapenFragments: MisshapenServer()
        case .foreignDescriptors: ForeignDescriptorsServer()
        case .withheldFragments: WithheldFragmentsServer()
        case .signsWithoutStoring: UnstoringServer()
        case .forgetful: ForgetfulServer()
        case .frozen: FrozenServer()
        case .supersededLies: SupersededLiar()
        case .unsoundStatements: UnsoundStatementsServer()
        case .foreignStatements: ForeignStatementsServer()
        case .alarmingPrepared: AlarmingServer()
        case .falsePoison: FalselyPoisoningServer()
        case .falseVouching: FalselyVouchingServer()
        case .falseAcknowledgements: FalselyAcknowledgingServer()
        case .endlessNeed: NeedyServer()
        case .falseRefusals: RefusingServer()
        case .fabricatedPending: PendingFabricator()
        case .hiddenPending: PendingHider()
        case .replayedReplies: RepeatingServer()
        case .contraryReplies: ContraryServer()
        case .colludingGarbage: ColludingGarbageServer()
        case .colludingForgery: ColludingForger()
        case .agreedFabrication: AgreedFabricator()
        case .mixture: MixedServer()
        }
    }
}

/// Lets the conspiracy see what its server sees, before the policy has its say.
private struct ObservantServer: ServerFault {
    var policy: any ServerFault

    var delayFactor: Int { policy.delayFactor }

    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        context.conspiracy.note(request, at: context.node)
        return policy.receive(request, from: client, &context)
    }

    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        context.conspiracy.note(honest: reply, of: context.node, answering: request)
        return policy.send(reply, to: client, answering: request, &context)
    }

    mutating func keeps(_ change: ObjectChange, _ context: inout FaultContext) -> Bool {
        policy.keeps(change, &context)
    }
}

/// Every policy in turn, by chance, between stretches of good behaviour: what no single policy's author thought of.
struct MixedServer: ServerFault {
    private var policies: [any ServerFault] = ServerFaultKind.allCases.filter { $0 != .mixture }.map { $0.bare() }

    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard context.generator.chance(percent: 40) else { return .pass(request) }
        return policies[context.generator.below(policies.count)].receive(request, from: client, &context)
    }

    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        guard context.generator.chance(percent: 60) else { return [reply] }
        return policies[context.generator.below(policies.count)]
            .send(reply, to: client, answering: request, &context)
    }

    mutating func keeps(_ change: ObjectChange, _ context: inout FaultContext) -> Bool {
        guard context.generator.chance(percent: 25) else { return true }
        return policies[context.generator.below(policies.count)].keeps(change, &context)
    }
}
