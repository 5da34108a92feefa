// A client for as long as it is needed.

/// Runs `body` with a client, which is closed afterwards whatever happens.
///
/// - Parameters:
///   - home: who the client is and which cluster it uses.
///   - options: times and sizes of its operations.
///   - logger: where it tells of its connections; nil for nowhere.
/// - Throws: `ClientError.identity` when the client's key or certificate cannot be used, and what `body` throws.
public func withObjectClient<R: Sendable>(
    home: ClientHome, options: ClientOptions = ClientOptions(), logger: Logger? = nil,
    _ body: (ObjectClient) async throws -> R
) async throws -> R {
    let client = try ObjectClient(home: home, options: options, logger: logger)
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}
