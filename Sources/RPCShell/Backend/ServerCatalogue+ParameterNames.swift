import RPCDeployment
import RPCProcedures

extension ServerCatalogue {
  /// Names arguments as a file does where the server does not, as for the closures of a Swift program.
  mutating func nameParameters(as declared: [Procedure]) {
    for service in services.indices {
      for index in services[service].procedures.indices {
        let signature = services[service].procedures[index].signature
        guard !signature.parameters.isEmpty, signature.parameters.allSatisfy({ $0.name == nil }),
          let other = declared.first(where: {
            $0.signature.qualifiedName == signature.qualifiedName
              && $0.signature.parameterTypes == signature.parameterTypes
          })
        else { continue }
        services[service].procedures[index].signature.parameters = other.signature.parameters
      }
    }
  }
}
