/// Sessions that are opened, TLS, HELLO and all, and closed again: each costs the server signatures and a key
/// agreement.
struct ShortConnections: Attack {
    private static let placesPerServer = 4

    func run(by attacker: Attacker) async {
        await attacker.besiege(placesPerServer: Self.placesPerServer) { server, _ in
            await attacker.persist(at: server) { _ in }
        }
    }
}
