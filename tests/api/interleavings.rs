//! Every write, while its requests and responses are lost or late and another client writes the same record, in random
//! interleavings.
//!
//! A write has one effect or none. If the response is a success, the effect precedes it; if the response is a rejection, there
//! is no effect. So no attempt of the service undoes a write of another client that got a success: it takes effect before
//! that, or its own client has not got its response yet.

mod case;

use std::cell::{Cell, RefCell};

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use case::{Case, Finding, any_case};
use testkit::adversary::Adversary;

use crate::support::{Api, Caller, seed};

/// Cases of a run; all of them are the same for the same seed.
const CASES: u32 = 300;

/// Runs a case, and returns what is wrong with it.
async fn run(network: &mut Adversary, caller: &Caller<'_>, number: u32, case: &Case) -> Result<(), Finding> {
    let world = case.prepare(caller, number).await;
    network.attack(case.fates.iter().copied());
    let mut meanwhile = case.meanwhile.iter();
    let mut responses = Vec::new();
    for number in 0..case.calls() {
        network.begin_call(number);
        let mut call = tokio::spawn(world.call(caller, case).send());
        let response = loop {
            tokio::select! {
                response = &mut call => break response.unwrap(),
                resume = network.paused() => {
                    if let Some(actions) = meanwhile.next() {
                        world.act(network, caller, case, actions).await;
                    }
                    // The service may have stopped waiting.
                    let _gone = resume.send(());
                }
            }
        };
        let unknown = response.status == 503;
        responses.push((response, network.arrivals().len()));
        if !unknown {
            break;
        }
    }
    for actions in meanwhile {
        world.act(network, caller, case, actions).await;
    }
    world.act(network, caller, case, &case.afterwards).await;
    network.deliver_late().await;
    let arrivals = network.arrivals();
    drop(network.cease());
    case.judge(&responses, &arrivals)
}

#[test]
fn no_write_is_undone_by_a_retry_and_what_is_reported_is_what_happened() {
    let seed = seed();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let network = runtime.block_on(Adversary::start());
    let endpoint = network.endpoint.clone();
    let api = runtime.block_on(Api::start_with(|options| {
        options.dynamodb_endpoint = Some(endpoint);
    }));
    let caller = runtime.block_on(api.caller("globex"));
    let number = Cell::new(0);
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let network = RefCell::new(network);
    let result = runner.run(&any_case(), |case| {
        number.set(number.get() + 1);
        runtime.block_on(run(&mut network.borrow_mut(), &caller, number.get(), &case))
    });
    runtime.block_on(api.shutdown());
    if let Err(error) = result {
        panic!("{error}");
    }
}
