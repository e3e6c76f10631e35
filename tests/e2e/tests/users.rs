//! Accounts and their privileges, made, kept, put right and taken away by User and Grant objects.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    ADMIN, MINUTE, Namespace, Sql, Watched, credentials, database, grant, in_namespace, password, replicated, say, seconds, user, wait_for,
    with,
};
use serde_json::json;
use tokio::time::{Instant, timeout};

/// For what one write on one server should do.
const SOON: Duration = seconds(20);
/// In which a changed Secret has to be a changed password.
const SECONDS: Duration = seconds(5);

#[tokio::test]
async fn users_and_grants_make_keep_and_end_accounts_and_privileges() -> Result<()> {
    in_namespace("users", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        // In the order in which nothing can work yet: the order doesn't matter.
        let often = json!({"spec": {"requeueInterval": "2s"}});
        let on_shop = json!({"spec": {"database": "shop", "requeueInterval": "2s"}});
        namespace.apply(&with(grant("app", "dolt", "app", &["SELECT", "INSERT", "CREATE", "DELETE"]), on_shop)).await?;
        namespace.apply(&with(user("app", "dolt", "app", "app"), often)).await?;
        namespace.apply(&password("app", "first-Password")).await?;
        namespace.apply(&database("shop", "dolt", "shop")).await?;
        namespace.apply(&replicated("dolt")).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        for (kind, name) in [("Database", "shop"), ("User", "app"), ("Grant", "app")] {
            let object = namespace.ready(kind, name, MINUTE).await?;
            let finalizers = &object["metadata"]["finalizers"];
            ensure!(*finalizers == json!([format!("{}.k8s.dolthub.com/finalizer", kind.to_lowercase())]), "{kind} has {finalizers}");
        }

        the_account_can_do_what_it_was_granted(namespace).await.context("the account can do what it was granted")?;
        at_rest_nothing_is_written(namespace).await.context("at rest nothing is written")?;
        a_changed_secret_changes_the_password(namespace).await.context("a changed secret changes the password")?;
        privileges_follow_the_spec(namespace).await.context("privileges follow the spec")?;
        drift_is_put_right(namespace).await.context("drift is put right")?;
        of_two_users_the_older_one_counts(namespace).await.context("of two users the older one counts")?;
        hostile_names_and_passwords_are_only_that(namespace).await.context("hostile names and passwords are only that")?;
        the_operators_own_account_is_left_alone(namespace).await.context("the operator's own account is left alone")?;
        deleting_a_grant_revokes(namespace).await.context("deleting a grant revokes")?;
        deleting_with_skip_leaves_the_account(namespace).await.context("deleting with Skip leaves the account")?;
        a_dead_standby_does_not_hold_up_a_deletion(namespace).await.context("a dead standby does not hold up a deletion")
    })
    .await
}

/// The primary's shop, as the account `app`.
fn app(namespace: &Namespace, password: &str) -> Sql {
    namespace.service("dolt-primary").account("app", password).database("shop")
}

fn admin(namespace: &Namespace) -> Sql {
    namespace.service("dolt-primary")
}

async fn refused(sql: &Sql, statement: &str) -> Result<()> {
    let answer = sql.rows(statement).await;
    ensure!(answer.is_err(), "{statement}: it was allowed and gave {answer:?}");
    Ok(())
}

async fn has_account(namespace: &Namespace, name: &str) -> Result<bool> {
    Ok(admin(namespace).column("select user from mysql.user").await?.iter().any(|user| user == name))
}

async fn the_account_can_do_what_it_was_granted(namespace: &Namespace) -> Result<()> {
    let app = app(namespace, "first-Password");
    app.rows("create table items (id int primary key)").await?;
    app.rows("insert into items values (1)").await?;
    ensure!(app.column("select id from items").await? == ["1"], "it reads what it wrote");
    refused(&app, "drop table items").await?;
    refused(&app, "create user other").await?;
    refused(&app, "select user from mysql.user").await
}

async fn at_rest_nothing_is_written(namespace: &Namespace) -> Result<()> {
    let changed = "select max(password_last_changed) from mysql.user where user = 'app'";
    let before = admin(namespace).cell(changed).await?;
    // Three looks of both.
    let writes = Watched::start(namespace, &["User", "Grant", "Database"]).await?.within(seconds(7)).await?;
    ensure!(writes.is_empty(), "{writes:#?}");
    let after = admin(namespace).cell(changed).await?;
    ensure!(before == after, "the password was written at {before} and again at {after}");
    Ok(())
}

async fn a_changed_secret_changes_the_password(namespace: &Namespace) -> Result<()> {
    namespace.apply(&password("app", "second-Password")).await?;
    let start = Instant::now();
    wait_for("the new password lets in", SECONDS, async || app(namespace, "second-Password").rows("select 1").await).await?;
    say(format_args!("a changed Secret was the password after {} ms", start.elapsed().as_millis()));
    refused(&app(namespace, "first-Password"), "select 1").await?;
    namespace.ready("User", "app", SOON).await?;
    let shown = serde_json::to_string(&namespace.expect("User", "app").await?)?;
    ensure!(!shown.contains("Password\""), "the User shows it: {shown}");
    Ok(())
}

async fn privileges_follow_the_spec(namespace: &Namespace) -> Result<()> {
    let app = app(namespace, "second-Password");
    namespace.merge("Grant", "app", &json!({"spec": {"privileges": ["SELECT", "INSERT", "UPDATE"]}})).await?;
    namespace.ready("Grant", "app", SOON).await?;
    wait_for("what came is there and what left is gone", SOON, async || {
        app.rows("update items set id = 2 where id = 1").await?;
        refused(&app, "delete from items").await
    })
    .await?;
    // One of its privileges is another Grant's too, and one on a table stands beside those on the database.
    let second = json!({"spec": {"database": "shop", "requeueInterval": "2s"}});
    namespace.apply(&with(grant("second", "dolt", "app", &["UPDATE"]), second)).await?;
    let table = json!({"spec": {"database": "shop", "table": "items", "grantOption": true, "requeueInterval": "2s"}});
    namespace.apply(&with(grant("table", "dolt", "app", &["ALL"]), table)).await?;
    namespace.ready("Grant", "second", SOON).await?;
    namespace.ready("Grant", "table", SOON).await?;
    app.rows("delete from items where id = 7").await?;
    namespace.delete("Grant", "second").await?;
    namespace.gone("Grant", "second", SOON).await?;
    let shown = admin(namespace).column("show grants for 'app'@'%'").await?;
    ensure!(shown.iter().any(|line| line.starts_with("GRANT SELECT, INSERT, UPDATE ON `shop`.* TO")), "{shown:?}");
    namespace.delete("Grant", "table").await?;
    namespace.gone("Grant", "table", SOON).await?;
    refused(&app, "delete from items where id = 7").await
}

async fn drift_is_put_right(namespace: &Namespace) -> Result<()> {
    let admin = admin(namespace);
    let app = app(namespace, "second-Password");
    let works = async |what: &str| {
        wait_for(format!("{what} is put right"), SOON, async || {
            app.rows("insert into items values (10)").await?;
            app.rows("update items set id = 11 where id = 10").await?;
            admin.rows("delete from shop.items where id = 11").await
        })
        .await
    };
    admin.rows("alter user 'app'@'%' identified by 'by-hand'").await?;
    works("a password").await?;
    let events = namespace.events_of("User", "app").await?;
    ensure!(events.iter().any(|event| event.reason == "PasswordDrifted"), "nobody was told: {events:#?}");
    admin.rows("revoke insert, update on shop.* from 'app'@'%'").await?;
    works("a privilege").await?;
    admin.rows("drop user 'app'@'%'").await?;
    works("an account").await?;
    // What somebody adds is theirs.
    admin.rows("grant process on *.* to 'app'@'%'").await?;
    let writes = Watched::start(namespace, &["Grant"]).await?.within(seconds(5)).await?;
    let shown = admin.column("show grants for 'app'@'%'").await?;
    ensure!(shown.iter().any(|line| line.starts_with("GRANT PROCESS ON *.*")), "it was taken away: {shown:?} {writes:?}");
    Ok(())
}

async fn of_two_users_the_older_one_counts(namespace: &Namespace) -> Result<()> {
    namespace.apply(&password("younger", "younger-Password")).await?;
    namespace.apply(&with(user("younger", "dolt", "app", "younger"), json!({"spec": {"requeueInterval": "2s"}}))).await?;
    namespace.complains("User", "younger", &["User \"app\"", "'app'@'%'", "older"], SOON).await?;
    app(namespace, "second-Password").rows("select 1").await?;
    refused(&app(namespace, "younger-Password"), "select 1").await?;
    namespace.delete("User", "app").await?;
    namespace.gone("User", "app", SOON).await?;
    namespace.ready("User", "younger", SOON).await?;
    app(namespace, "younger-Password").rows("select id from items").await?;
    Ok(())
}

async fn hostile_names_and_passwords_are_only_that(namespace: &Namespace) -> Result<()> {
    let before = admin(namespace).column("select user from mysql.user order by user").await?;
    let cases = [
        ("quote", "o'brien", "it's \"quoted\""),
        ("backslash", "back\\slash", "\\'; DROP USER 'admin'@'%'; -- "),
        ("injection", "x'@'%'; DROP USER root; --", "x' ; GRANT ALL ON *.* TO 'x'@'%"),
        ("unicode", "Zoë`", "пароль-密码-🔑"),
    ];
    for (name, account, word) in cases {
        namespace.apply(&password(name, word)).await?;
        namespace.apply(&user(name, "dolt", account, name)).await?;
        let on = json!({"spec": {"database": "shop", "table": "items"}});
        namespace.apply(&with(grant(name, "dolt", account, &["SELECT"]), on)).await?;
    }
    for (name, account, word) in cases {
        namespace.ready("User", name, SOON).await?;
        namespace.ready("Grant", name, SOON).await?;
        let own = namespace.service("dolt-primary").account(account, word).database("shop");
        own.rows("select id from items").await.with_context(|| format!("as {account}"))?;
        refused(&own, "insert into items values (5)").await?;
    }
    for (field, patch) in [
        ("spec.privileges", json!({"spec": {"privileges": ["SELECT ON *.* TO 'x'@'%'; -- "]}})),
        ("spec.database", json!({"spec": {"database": "shop`.* TO 'x'@'%'; -- ", "privileges": ["SELECT"]}})),
    ] {
        namespace.merge("Grant", "quote", &patch).await?;
        namespace.complains("Grant", "quote", &[field], SOON).await?;
    }
    for (name, ..) in cases {
        namespace.delete("Grant", name).await?;
        namespace.delete("User", name).await?;
    }
    for (name, ..) in cases {
        namespace.gone("Grant", name, SOON).await?;
        namespace.gone("User", name, SOON).await?;
    }
    let after = admin(namespace).column("select user from mysql.user order by user").await?;
    ensure!(before == after, "the accounts were {before:?} and are {after:?}");
    Ok(())
}

async fn the_operators_own_account_is_left_alone(namespace: &Namespace) -> Result<()> {
    namespace.apply(&user("admin", "dolt", ADMIN, "app")).await?;
    namespace.apply(&grant("admin", "dolt", ADMIN, &["SELECT"])).await?;
    namespace.complains("User", "admin", &["the operator itself"], SOON).await?;
    namespace.complains("Grant", "admin", &["the operator itself"], SOON).await?;
    for kind in ["User", "Grant"] {
        namespace.delete(kind, "admin").await?;
        namespace.gone(kind, "admin", SOON).await?;
    }
    admin(namespace).rows("select 1").await?;
    Ok(())
}

async fn deleting_a_grant_revokes(namespace: &Namespace) -> Result<()> {
    let app = app(namespace, "younger-Password");
    app.rows("select id from items").await?;
    namespace.delete("Grant", "app").await?;
    namespace.gone("Grant", "app", SOON).await?;
    refused(&app, "select id from items").await
}

async fn deleting_with_skip_leaves_the_account(namespace: &Namespace) -> Result<()> {
    namespace.apply(&password("kept", "kept-Password")).await?;
    namespace.apply(&with(user("kept", "dolt", "kept", "kept"), json!({"spec": {"cleanupPolicy": "Skip"}}))).await?;
    namespace.apply(&with(grant("kept", "dolt", "kept", &["SHOW DATABASES"]), json!({"spec": {"cleanupPolicy": "Skip"}}))).await?;
    namespace.ready("User", "kept", SOON).await?;
    namespace.ready("Grant", "kept", SOON).await?;
    for kind in ["User", "Grant"] {
        namespace.delete(kind, "kept").await?;
        namespace.gone(kind, "kept", SOON).await?;
    }
    namespace.service("dolt-primary").account("kept", "kept-Password").rows("show databases").await?;
    Ok(())
}

async fn a_dead_standby_does_not_hold_up_a_deletion(namespace: &Namespace) -> Result<()> {
    namespace.apply(&grant("doomed", "dolt", "app", &["PROCESS"])).await?;
    namespace.ready("Grant", "doomed", SOON).await?;
    // It takes connections and never answers, which is worse than being gone.
    namespace.freeze("dolt-1").await?;
    namespace.delete("Grant", "doomed").await?;
    let standby = namespace.pod("dolt", 1);
    let (revoked, silent) = tokio::join!(namespace.gone("Grant", "doomed", SOON), timeout(seconds(3), standby.role()));
    namespace.delete("User", "younger").await?;
    let gone = namespace.gone("User", "younger", SOON).await;
    let left = has_account(namespace, "app").await;
    namespace.thaw("dolt-1").await?;
    revoked?;
    gone?;
    ensure!(silent.is_err(), "the standby was not dead: {silent:?}");
    ensure!(!left?, "the account is still there");
    wait_for("it is gone from the standby", SOON, async || {
        let left = standby.column("select user from mysql.user").await?;
        ensure!(!left.contains(&"app".to_owned()), "it has {left:?}");
        Ok(())
    })
    .await
}
