// What clients of a torture's gateways need before they can do anything: an access key and a bucket.

import ClusterFiles
import CommandOutcome
import QuorumClient
import QuorumProtocol
import S3Gateway
import S3Wire

enum GatewayAccess {
    /// A new access key that may do everything.
    ///
    /// - Parameter client: one that may administer every bucket.
    static func credential(_ plan: GatewayPlan, by client: ObjectClient) throws -> Credential {
        guard let everything = Grant(bucket: Grant.everyBucket, rights: .all) else {
            preconditionFailure("every bucket is no bucket")
        }
        return try records(plan, client).make(name: "torture", grants: [everything])
    }

    static func identity(_ credential: Credential) -> S3Identity {
        S3Identity(accessKey: credential.accessKey, secret: credential.secret)
    }

    /// Has the gateways know the access key, and makes the bucket.
    ///
    /// - Parameter client: one that may administer every bucket.
    static func open(
        _ plan: GatewayPlan, _ credential: Credential, by client: ObjectClient, bucket: String
    ) async throws {
        try await records(plan, client).add(credential)
        do throws(ClientError) {
            _ = try await client.createBucket(bucket)
        } catch .bucketExists {
            // An earlier torture has made it.
        }
    }

    private static func records(_ plan: GatewayPlan, _ client: ObjectClient) throws -> CredentialRecords {
        let home = try GatewayHome(clusterDirectory: plan.clusterDirectory, name: plan.names[0])
        return CredentialRecords(client, key: home.sharedKey)
    }
}
