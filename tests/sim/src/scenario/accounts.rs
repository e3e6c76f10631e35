//! What the user asks for on a server: a Database, a User with its password's Secret, and a Grant.

use serde_json::{Value, json};

use crate::{
    api::key,
    world::{World, clock},
};

use super::{NAME, NAMESPACE};

/// The first password of the User. It must be seen nowhere.
pub(crate) const FIRST: &str = "halibut-4419";
/// The second one, of the same length.
pub(crate) const SECOND: &str = "haddock-9154";
/// The Secret of the password, and its key.
const SECRET: (&str, &str) = ("shop-password", "password");

impl World {
    /// The user creates all of it at once, the Grant first.
    pub(crate) fn create_accounts(&mut self) {
        let now = clock(self.now);
        let doltdb = json!({"name": NAME});
        let (secret, entry) = SECRET;
        for (kind, spec) in [
            (
                "Grant",
                json!({
                    "doltDBRef": doltdb, "username": "clerk", "database": "shop", "table": "*", "privileges": ["SELECT", "INSERT"],
                    "grantOption": true,
                }),
            ),
            ("User", json!({"doltDBRef": doltdb, "name": "clerk", "passwordSecretKeyRef": {"name": secret, "key": entry}})),
            ("Database", json!({"doltDBRef": doltdb, "name": "shop", "systemBranches": ["dev"], "doltIgnorePatterns": ["tmp_%"]})),
        ] {
            let metadata = json!({"name": "shop", "namespace": NAMESPACE});
            self.api.create(json!({"apiVersion": "k8s.dolthub.com/v1alpha", "kind": kind, "metadata": metadata, "spec": spec}), now);
        }
        let metadata = json!({"name": secret, "namespace": NAMESPACE});
        self.api.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {entry: FIRST}}), now);
    }

    /// The password in the Secret is another one.
    pub(crate) fn change_password(&mut self) {
        let (secret, entry) = SECRET;
        self.api.modify(&key("v1", "Secret", NAMESPACE, secret), |body| body["data"][entry] = SECOND.into());
    }

    /// The user deletes all but the DoltDB.
    pub(crate) fn delete_accounts(&mut self) {
        for kind in ["Database", "User", "Grant"] {
            self.api.delete(&key("k8s.dolthub.com/v1alpha", kind, NAMESPACE, "shop"), None);
        }
    }

    /// The value of a User's password.
    pub(crate) fn password_of(&self, spec: &Value) -> Option<String> {
        let reference = &spec["passwordSecretKeyRef"];
        let secret = self.api.get(&key("v1", "Secret", NAMESPACE, reference["name"].as_str()?))?;
        secret.body["data"][reference["key"].as_str()?].as_str().map(ToOwned::to_owned)
    }
}
