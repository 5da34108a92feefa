/// PREPAREs of ever new keys, none of which is ever committed: what one client may leave behind, and what it costs to
/// refuse it more.
struct EndlessKeys: Attack {
    private static let valueSizeBytes = 1024
    private static let unansweredMax = 256

    func run(by attacker: Attacker) async {
        let block = EncodedBlock(sizeBytes: Self.valueSizeBytes, attacker.parameters)
        await attacker.besiege { server, _ in
            // Every server gets the same versions.
            let numbers = Numbers()
            await attacker.persist(at: server) { session in
                while !Task.isCancelled {
                    let version = HostileVersion(block, of: attacker.key("endless/\(numbers.next())"), by: attacker)
                    guard let request = version.prepare(at: server.node) else { continue }
                    try await session.send(request, unansweredMax: Self.unansweredMax)
                }
            }
        }
    }
}
