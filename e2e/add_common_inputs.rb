# Adds `meta.inputs_of_every_run` to the inputs of every run of the Step: ruby add_common_inputs.rb <bitrise.yml
#
# bitrise.yml has no syntax for inputs that several Steps share. Prints JSON, because every YAML parser reads
# quoted strings the same way.

require 'json'
require 'yaml'

config = YAML.safe_load($stdin.read, aliases: true)
common = config.fetch('meta').fetch('inputs_of_every_run')

config['workflows'].each_value do |workflow|
  workflow['steps'].each do |step|
    next unless step.key?('path::./')

    own = step['path::./'].fetch('inputs', [])
    names = own.flat_map(&:keys)
    step['path::./']['inputs'] = own + common.reject { |input| names.include?(input.keys.first) }
  end
end

puts JSON.pretty_generate(config)
