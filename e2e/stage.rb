# Gives the inputs that all runs of the Step have in common to each: ruby stage.rb <bitrise.yml
#
# Bitrise has no way to say once what several steps get. What is printed is bitrise.yml as
# JSON, in which no reader of YAML takes a text for something else.

require 'json'
require 'yaml'

config = YAML.safe_load($stdin.read, aliases: true)
common = config.fetch('meta').fetch('inputs_of_every_run')

config['workflows'].each_value do |workflow|
  workflow['steps'].each do |step|
    next unless step.key?('path::./')

    own = step['path::./'].fetch('inputs', [])
    given = own.flat_map(&:keys)
    step['path::./']['inputs'] = own + common.reject { |input| given.include?(input.keys.first) }
  end
end

puts JSON.pretty_generate(config)
